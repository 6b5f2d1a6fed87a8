// Completion of the names in server.properties.

import ArgumentParser
import Configuration

extension CompletionKind {
  /// Names that have an effect, each with `suffix` behind it.
  static func propertyNames(suffix: String = "") -> CompletionKind {
    .custom { _, _, prefix in
      BrokerKeys.all.filter { $0.effect == .used && $0.name.hasPrefix(prefix) }
        .map { $0.name + suffix }
    }
  }
}
