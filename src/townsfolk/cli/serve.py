"""`townsfolk serve`: the service, until it is told to stop."""

import asyncio
import contextlib

from townsfolk.cli.options import AsJson, ConfigFile, show
from townsfolk.config import address, load_settings


def serve(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Serve games over HTTP and gRPC until ctrl-C or SIGTERM. Settings: --config, TOWNSFOLK_* variables."""
    from townsfolk import serving
    from townsfolk.cli.logs import set_up

    settings = load_settings(config)
    set_up(settings)

    def tell(ports: serving.Ports) -> None:
        scheme = "https" if settings.tls.certificate else "http"
        told = {
            "http": f"{scheme}://{address(settings.http.host, ports.http)}",
            "grpc": address(settings.grpc.host, ports.grpc) if ports.grpc else "",
            "admin": f"{scheme}://{address(settings.http.admin_host, ports.admin)}" if ports.admin else "",
        }
        show(as_json, f"townsfolk serves {' '.join(filter(None, told.values()))}", told)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serving.run(settings, tell))
