"""admin: policy as code, people, servers, locks, sessions, events."""

from __future__ import annotations

import typer

from postern.commands.admin import apply, documents, edit, events, locks, scim, servers, sessions, users

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Administer the broker.")

for part in (apply, documents, edit, events, locks, scim):
    part.register(app)
app.add_typer(locks.app, name="locks")
app.add_typer(users.app, name="users")
app.add_typer(servers.app, name="servers")
app.add_typer(sessions.app, name="sessions")
