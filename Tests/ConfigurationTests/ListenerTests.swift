// Listeners: their form, and the rules between them.

import Testing

@testable import Configuration

@Suite struct ListenerTests {
  @Test(arguments: [
    ("PLAINTEXT://127.0.0.1:9092", "PLAINTEXT", "127.0.0.1", 9_092),
    ("plaintext://:9092", "PLAINTEXT", "", 9_092),
    ("IN-1_x://kafka_1.example.com:0", "IN-1_X", "kafka_1.example.com", 0),
    ("A://[::1]:65535", "A", "::1", 65_535),
    ("A://[fe80::1%eth0]:1", "A", "fe80::1%eth0", 1),
  ])
  func parses(text: String, name: String, host: String, port: UInt16) {
    #expect(Listener(text) == Listener(name: name, host: host, port: port))
  }

  @Test(arguments: [
    "", "A", "A:9092", "A://", "A://host", "A://host:", "A://host:x", "A://host:65536",
    "A://host:-1", "A://host:+1", "://host:1", "A://::1:9092", "A://[::1]", "A://[::1:9092",
    "A://[host]:9092", "A B://host:1", "A://ho st:1", "A://host:1/", "A://host/:1", "A//host:1",
  ])
  func refuses(text: String) {
    #expect(Listener(text) == nil)
  }

  @Test func descriptionIsTheForm() {
    for text in ["PLAINTEXT://:9092", "A://[::1]:9092", "B://h.example:1"] {
      #expect(Listener(text)?.description == text)
    }
  }

  private func load(_ settings: String...) -> Result<Listeners, ConfigurationError> {
    do throws(ConfigurationError) {
      let text = settings.joined(separator: "\n")
      return .success(try BrokerConfiguration.load(file: ("f", text)).listeners)
    } catch {
      return .failure(error)
    }
  }

  private func reason(_ settings: String...) -> String? {
    do throws(ConfigurationError) {
      let text = settings.joined(separator: "\n")
      _ = try BrokerConfiguration.load(file: ("f", text))
      return nil
    } catch {
      return error.reason
    }
  }

  @Test func severalListeners() throws {
    let listeners = try load(
      "listeners=INSIDE://10.0.0.1:9092, OUTSIDE://:9093,PLAINTEXT://[::1]:0",
      "listener.security.protocol.map=inside:PLAINTEXT,OUTSIDE:plaintext, PLAINTEXT:PLAINTEXT",
      "advertised.listeners=OUTSIDE://broker.example:29093,INSIDE://10.0.0.1:9092"
    ).get()
    #expect(listeners.open.map(\.name) == ["INSIDE", "OUTSIDE", "PLAINTEXT"])
    #expect(listeners.advertised["OUTSIDE"]?.port == 29_093)
    #expect(listeners.advertised["PLAINTEXT"] == nil)
  }

  @Test func onePortMayServeBothFamilies() {
    #expect(
      reason(
        "listeners=A://127.0.0.1:9092,B://[::1]:9092",
        "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT") == nil)
    #expect(
      reason(
        "listeners=A://:0,B://:0", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT")
        == nil)
  }

  @Test func advertisedMayShareAnAddress() {
    #expect(
      reason(
        "listeners=A://:1,B://:2", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
        "advertised.listeners=A://lb:443,B://lb:443") == nil)
  }

  @Test func rules() {
    #expect(reason("listeners=") == "there is no listener in it")
    #expect(
      reason("listeners=PLAINTEXT:9092")
        == "'PLAINTEXT:9092' is not NAME://host:port with a port up to 65535; IPv6 takes brackets")
    #expect(
      reason("listeners=SSL://:9093")
        == "SSL://:9093 needs SSL, which is not served yet; only PLAINTEXT is")
    #expect(
      reason("listeners=INSIDE://:1")
        == "no security protocol is given for INSIDE in listener.security.protocol.map")
    #expect(
      reason("listeners=PLAINTEXT://:1,PLAINTEXT://:2")
        == "each listener must have a name of its own: PLAINTEXT://:2")
    #expect(
      reason(
        "listeners=A://:1,B://h:1", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT")
        == "each listener must have a port of its own: B://h:1")
    #expect(
      reason("listener.security.protocol.map=A:TLS")
        == "'A:TLS' is not NAME:PROTOCOL with one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL")
    #expect(
      reason("listener.security.protocol.map=A:SSL,a:SSL") == "the listener a is there twice")
    #expect(
      reason("listeners=CONTROLLER://:1", "controller.listener.names=CONTROLLER")
        == "there must be a listener besides those of controller.listener.names")
  }

  @Test func rulesOfAdvertisedListeners() {
    for host in ["0.0.0.0", "", "[::]"] {
      let text = reason("advertised.listeners=PLAINTEXT://\(host):9092")
      #expect(text?.hasPrefix("clients cannot connect to '") == true, "\(host)")
    }
    #expect(
      reason("advertised.listeners=PLAINTEXT://h:0")
        == "clients cannot connect to port 0 (PLAINTEXT://h:0)")
    #expect(
      reason("advertised.listeners=OTHER://h:1") == "there is no listener OTHER in listeners")
    #expect(
      reason("advertised.listeners=PLAINTEXT://h:1,PLAINTEXT://i:1")
        == "the listener PLAINTEXT is there twice")
  }
}
