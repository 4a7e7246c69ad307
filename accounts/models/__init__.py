"""What is stored about people."""

from accounts.models.connector import Connector
from accounts.models.factor_reset import FactorReset
from accounts.models.group import Group, Membership
from accounts.models.identity import Identity, OneUse, ProviderFlow, ProviderSession
from accounts.models.invite import Invite
from accounts.models.login_session import LoginSession, SignIn
from accounts.models.notice import Confirmation, Notice
from accounts.models.oauth_code import OAuthCode
from accounts.models.provisioned_group import ProvisionedGroup
from accounts.models.recovery_code import RecoveryCode
from accounts.models.throttle import Throttle
from accounts.models.totp import TotpDevice
from accounts.models.user import User

# Last: django-otp-webauthn asks for the user model while it is being imported.
from accounts.models.passkey import Passkey, PasskeyChallenge  # isort: skip

__all__ = [
    "Confirmation",
    "Connector",
    "FactorReset",
    "Group",
    "Identity",
    "Invite",
    "LoginSession",
    "Membership",
    "Notice",
    "OAuthCode",
    "OneUse",
    "Passkey",
    "PasskeyChallenge",
    "ProviderFlow",
    "ProviderSession",
    "ProvisionedGroup",
    "RecoveryCode",
    "SignIn",
    "Throttle",
    "TotpDevice",
    "User",
]
