// `sluice properties`: every name that server.properties may have, out of the tables that the
// broker checks it with. The manual page sluice.properties(5) is written from its JSON.

import ArgumentParser
import Configuration

struct PropertiesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "properties",
    abstract: "Explain the names of server.properties: meaning, default, what is allowed.",
    discussion: """
      No broker is needed. Without names, every name that has an effect is listed; --all lists \
      those, too, which Kafka knows and this broker takes without effect or refuses.

      Examples:
        sluice properties log.segment.bytes
        sluice properties | grep timeout
      """)

  @Argument(
    help: "Names of properties; all that have an effect if none is given.",
    completion: .propertyNames())
  var names: [String] = []
  @Flag(help: "Also names without effect.") var all = false
  @Flag(help: "Print JSON.") var json = false

  func run() throws {
    let keys = try names.isEmpty ? BrokerKeys.all.filter { all || $0.effect == .used } : chosen()
    if json {
      Output.json(keys.map(Self.fields))
    } else if names.isEmpty {
      Output.table(
        ["name", "default", "meaning"],
        keys.map { [$0.name, Self.default($0), $0.documentation] })
    } else {
      Output.line(keys.map(Self.explanation).joined(separator: "\n\n"))
    }
  }

  private func chosen() throws -> [ConfigurationKey] {
    try names.map { name in
      if let key = BrokerKeys.named(name) { return key }
      let hint = BrokerKeys.nearest(to: name).map { "; did you mean \($0)?" } ?? ""
      StandardError.line("sluice properties: there is no property '\(name)'\(hint)")
      throw ExitStatus.refused.exitCode
    }
  }

  private static func fields(_ key: ConfigurationKey) -> Fields {
    var fields = Fields()
    fields.add("name", key.name)
    fields.add("type", "\(key.type)")
    fields.add("default", key.defaultText.map { .text($0) } ?? .null)
    fields.add("allowed", key.rule.explanation.map { .text($0) } ?? .null)
    switch key.effect {
    case .used: fields.add("effect", "used")
    case .accepted(let reason):
      fields.add("effect", "accepted")
      fields.add("reason", reason.rawValue)
    case .refused(let reason):
      fields.add("effect", "refused")
      fields.add("reason", reason)
    }
    fields.add("meaning", key.documentation)
    return fields
  }

  private static func `default`(_ key: ConfigurationKey) -> String {
    switch key.defaultText {
    case nil: "-"
    case "": "(empty)"
    case let text?: text
    }
  }

  private static func explanation(_ key: ConfigurationKey) -> String {
    var lines = [key.name, "  \(key.documentation)", "  type: \(key.type)"]
    lines.append("  default: \(`default`(key))")
    if let allowed = key.rule.explanation { lines.append("  allowed: \(allowed)") }
    switch key.effect {
    case .used: break
    case .accepted(let reason): lines.append("  without effect: \(reason.rawValue)")
    case .refused(let reason): lines.append("  only the default is taken: \(reason)")
    }
    return lines.joined(separator: "\n")
  }
}
