"""Several frontends behind one listening socket."""

from harness import wire


def test_frontends_share_the_connections(own_broker):
    """Connections that come one by one go round: no frontend is left out, none gets nearly all."""
    broker = own_broker(arguments=["--frontends", "3"])
    before = broker.descriptor_counts()
    connections = []
    try:
        for _ in range(60):
            connections.append(wire.Connection(broker.port))
            connections[-1].metadata()
        after = broker.descriptor_counts()
    finally:
        for connection in connections:
            connection.close()
    shares = [after[key] - count for key, count in before.items() if key[0] == "sluice-frontend"]
    assert sum(shares) == 60 and len(shares) == 3
    assert min(shares) >= 5, shares
    broker.stop()
