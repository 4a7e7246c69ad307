"""app: private web apps from the command line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from postern import client, names, output, run
from postern.browser import open_page
from postern.commands import ls
from postern.errors import CliError, Missing, UsageProblem

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Open and call private web apps.")


@app.command("ls")
def list_apps(
    context: typer.Context,
    search: Annotated[str, typer.Option(help="Only apps with this in name, labels or description.")] = "",
    form: run.Output = None,
) -> None:
    """List the apps you may open.

    \b
    postern app ls
    """
    ls.ls(context, ls.Kind.APPS, search, form)


@app.command("open")
def open_app(context: typer.Context, name: Annotated[str, typer.Argument(metavar="APP")]) -> None:
    """Open an app in the browser.

    \b
    postern app open grafana
    """
    ran = run.of(context)
    found = [app for app in ran.broker().items("resources", kind="app", search=name, limit=200) if app["name"] == name]
    if not found:
        raise Missing(f"there is no app {name!r}, or it is not yours", "list yours with: postern app ls")
    url = str(found[0]["url"])
    print(url)
    open_page(url)


@app.command()
def token(context: typer.Context, name: Annotated[str, typer.Argument(metavar="APP")], form: run.Output = None) -> None:
    """Print a short-lived token for one app, to be sent as `Authorization: Bearer`.

    \b
    postern app token grafana
    TOKEN=$(postern app token grafana)
    """
    ran = run.of(context)
    answer = _token(ran, name)
    ran.show(answer, lambda: str(answer["token"]))


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": ["--help"]}
)
def curl(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="APP")],
    path: Annotated[str, typer.Argument(metavar="/PATH")] = "/",
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[CURL OPTIONS]...", show_default=False)] = None,
) -> int:
    """Call an app with curl, signed in. The token is in no process list; all of curl's options work.

    \b
    postern app curl grafana /api/health
    postern app curl grafana /api/annotations -X POST -H 'Content-Type: application/json' -d @note.json
    """
    if path.startswith("-"):
        path, arguments = "/", [path, *(arguments or [])]
    if not path.startswith("/") or not path.isprintable():
        raise UsageProblem(f"{path[:80]!r} is not a path", "write it like: postern app curl grafana /api/health")
    answer = _token(run.of(context), name)
    address = str(answer["url"]).rstrip("/") + path
    program = shutil.which("curl")
    if program is None:
        return _without_curl(address, str(answer["token"]), arguments or [])
    return _exec_curl(program, address, str(answer["token"]), arguments or [])


def _token(ran: run.Run, name: str) -> Mapping[str, Any]:
    answer = ran.broker().post("app-tokens", body={"app": name})
    if not isinstance(answer, dict) or not str(answer.get("url", "")).startswith(("http://", "https://")):
        raise CliError("the broker's answer holds no token", "are the CLI and the broker of one version?")
    return answer


def _exec_curl(program: str, address: str, token: str, arguments: list[str]) -> int:
    """Become curl. Its secrets come through a pipe, so that stdin stays free for `-d @-`."""
    reader, writer = os.pipe()
    os.write(writer, curl_config(address, token).encode())
    os.close(writer)
    os.set_inheritable(reader, True)
    sys.stdout.flush()
    os.execv(program, ["curl", "--config", f"/dev/fd/{reader}", *arguments])  # noqa: S606 - no shell is wanted


def curl_config(address: str, token: str) -> str:
    """What curl is told: where, with which token, and that names under localhost are here, whatever proxies say."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    lines = [("url", address), ("header", f"Authorization: Bearer {token}")]
    if names.is_loopback(host):
        lines += [("resolve", f"{host}:{port}:127.0.0.1"), ("noproxy", host)]
    if file := os.environ.get("POSTERN_CA_FILE"):
        lines.append(("cacert", file))
    return "globoff\n" + "".join(f'{name} = "{_escaped(value)}"\n' for name, value in lines)


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise UsageProblem("there is a control character in the address or the token", "check what was typed")
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _without_curl(address: str, token: str, arguments: list[str]) -> int:
    """The request with our own client: -X, -H, -d and no more."""
    method, headers, body = _simple(arguments)
    parts = urlsplit(address)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    headers["Authorization"] = f"Bearer {token}"
    response = client.exchange(f"{parts.scheme}://{parts.netloc}", method, target, headers=headers, body=body)
    sys.stdout.buffer.write(response.body)
    sys.stdout.buffer.flush()
    if response.status >= 400:
        output.note(f"{address.partition('?')[0]} answered {response.status}")
        return 1
    return 0


def _simple(arguments: list[str]) -> tuple[str, dict[str, str], bytes | None]:
    method, headers, body = "", {}, None
    left = list(arguments)
    while left:
        option = left.pop(0)
        if option not in ("-X", "--request", "-H", "--header", "-d", "--data") or not left:
            raise CliError(f"{option!r} needs curl, which is not installed", "without it only -X, -H and -d work")
        value = left.pop(0)
        if option in ("-X", "--request"):
            method = value
        elif option in ("-H", "--header"):
            name, _, content = value.partition(":")
            headers[name.strip()] = content.strip()
        else:
            body = value.encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    return method or ("GET" if body is None else "POST"), headers, body
