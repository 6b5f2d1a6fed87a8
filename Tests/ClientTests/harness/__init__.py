"""What the client tests share: a broker to test, client programs to drive, raw Kafka requests."""
