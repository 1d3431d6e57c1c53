"""THE OPERATOR'S PAGES: login, review, villagers, adapters, reports, a playground; mounted under `/console`.

    security ► pages ► desk (implemented by serving/) ► templates

It refuses to know engine, store and registry: all it sees of them is `desk.Desk`. Pages are rendered here
and work without a script; no asset comes from anywhere else.
"""

from townsfolk.console.app import create_console

__all__ = ["create_console"]
