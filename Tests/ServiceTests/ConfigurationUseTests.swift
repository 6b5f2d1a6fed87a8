// Who takes which configuration over while it runs: what clients may set at run time has to reach
// somebody.

import Configuration
import Testing

@testable import Service

@Suite struct ConfigurationUseTests {
  /// What may be set at run time and is said to be used is taken over by some process; the sockets of
  /// listeners are refused.
  @Test func whatMayChangeReachesSomebody() {
    for key in BrokerKeys.all where key.updateMode != .readOnly && key.effect == .used {
      if key.name == "listeners" || key.name == "listener.security.protocol.map" { continue }
      #expect(ConfigurationUse.liveSomewhere.contains(key.name), "\(key.name)")
    }
  }

  @Test func everyNameIsKnown() {
    for name in ConfigurationUse.liveSomewhere { #expect(BrokerKeys.named(name) != nil, "\(name)") }
  }
}
