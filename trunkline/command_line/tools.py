"""`trunkline tools`: the catalogue of a deployment, or what a module declares."""

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.command_line.failures import NotFound
from trunkline.command_line.output import JsonOption, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.command_line.tool_tables import ListedTool

__all__ = ["commands"]

commands = typer.Typer(help="Look at the tools that models may call.", no_args_is_help=True)

_Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--tools",
        metavar="MODULE",
        help="What this module declares, pkg.tools or ./my_tools.py, instead of what living workers have.",
    ),
]


@commands.command("list")
def list_tools(modules: _Modules = None, as_json: JsonOption = False) -> None:
    """List the tools that pools have published within a day, or those of modules."""
    from trunkline.command_line.tool_tables import tool_as_json, tools_table

    output = Output(as_json=as_json)
    tools = _tools(modules)
    if as_json:
        output.document([tool_as_json(tool) for tool in tools])
    elif not tools:
        output.print("No pool has published a tool. Start some: trunkline up")
    else:
        output.print(tools_table(tools, output))


@commands.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="The newest version if none is given.")],
    modules: _Modules = None,
    as_json: JsonOption = False,
) -> None:
    """Show a tool: what the model reads, its JSON Schema and its policies."""
    from rich.text import Text

    from trunkline.command_line.rendering import printable
    from trunkline.command_line.tool_tables import policies_table, tool_as_json

    output = Output(as_json=as_json)
    tool = _find(name, _tools(modules), where=" and ".join(modules) if modules else "the catalogue")
    if as_json:
        output.document(tool_as_json(tool))
        return
    output.print(Text(tool.reference, "bold"), "", Text(printable(tool.specification.description)), "")
    output.print(policies_table(tool, output), "", Text("arguments, as JSON Schema", "dim"))
    output.print(Text(json.dumps(tool.specification.parameters, indent=2, ensure_ascii=False)))


def _tools(modules: "Sequence[str] | None") -> "list[ListedTool]":
    from trunkline.command_line.tool_tables import ListedTool

    if modules:
        from workers.registry import ToolRegistry

        registry = ToolRegistry.load(modules=modules, pools=(), installed=())
        declared = [tool.specification for pool in registry.pools() for tool in registry.for_pool(pool)]
        tools = [ListedTool(specification) for specification in declared]
    else:
        from trunkline.command_line.connection import connect

        with connect() as (client, _):
            tools = [ListedTool(tool.specification, is_alive=tool.is_alive) for tool in client.tools()]
    return sorted(tools, key=lambda tool: (tool.specification.pool, tool.reference))


def _find(name: str, tools: "Sequence[ListedTool]", *, where: str) -> "ListedTool":
    wanted, _, version = name.partition("@")
    versions = [tool for tool in tools if tool.specification.name == wanted]
    matching = [tool for tool in versions if version in ("", tool.specification.version)]
    if not matching:
        names = {tool.specification.name for tool in tools}
        close = [tool.reference for tool in versions] or get_close_matches(wanted, names)
        hint = f"; there is {' and '.join(close)}" if close else ""
        raise NotFound("tool_unknown", f"there is no tool {name} in {where}{hint}")
    return _offered(matching)


def _offered(versions: "Sequence[ListedTool]") -> "ListedTool":
    """The one of a tool's versions that a job would be offered."""
    from ledger.catalogue import PublishedTool
    from orchestrator.tool_offer import offer_tools

    published = [PublishedTool(tool.specification, is_alive=bool(tool.is_alive)) for tool in versions]
    (offered,) = offer_tools([versions[0].specification.name], published).tools
    return next(tool for tool in versions if tool.specification == offered)
