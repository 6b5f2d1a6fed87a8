"""Several frontends behind one listening socket."""

from harness import wire
from harness.client import eventually


def test_frontends_share_the_connections(own_broker):
    """Connections that come one by one go round: no frontend is left out, none gets nearly all."""
    broker = own_broker(arguments=["--frontends", "3"])
    connections = []
    try:
        for _ in range(60):
            connections.append(wire.Connection(broker.port))
            connections[-1].metadata()
        during = broker.descriptor_counts()
    finally:
        for connection in connections:
            connection.close()

    def shares():
        now = broker.descriptor_counts()
        return [count - now[key] for key, count in during.items() if key[0] == "sluice-frontend"]

    # Counted by what closing them gives back.
    eventually(lambda: sum(shares()) >= 60, shares)
    assert len(shares()) == 3 and min(shares()) >= 5, shares()
    broker.stop()
