"""What is stored about people."""

from accounts.models.group import Group, Membership
from accounts.models.invite import Invite
from accounts.models.login_session import LoginSession, SignIn
from accounts.models.oauth_code import OAuthCode
from accounts.models.recovery_code import RecoveryCode
from accounts.models.throttle import Throttle
from accounts.models.totp import TotpDevice
from accounts.models.user import User

__all__ = [
    "Group",
    "Invite",
    "LoginSession",
    "Membership",
    "OAuthCode",
    "RecoveryCode",
    "SignIn",
    "Throttle",
    "TotpDevice",
    "User",
]
