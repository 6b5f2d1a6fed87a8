// Emits what spans messages: the enum of API keys with its facts, and the list of all messages.

enum TableEmitter {
  /// `Produce` → `produce`.
  static func caseName(_ api: String) -> String { SwiftText.uncapitalized(api) }

  static func apiKeys(_ apis: [Api]) -> String {
    var out = SwiftText()
    out.documentation([
      "The APIs that a Kafka 4.1 broker serves on a client listener. The raw value goes on the wire."
    ])
    out.block("public enum ApiKey: Int16, CaseIterable, Sendable") { out in
      for api in apis {
        out.documentation(api.documentation.split(separator: "\n").map(String.init))
        out.line("case \(caseName(api.name)) = \(api.key)")
      }
      out.line()
      out.documentation(["Kafka's name of the API, such as `Produce`."])
      emitSwitch("name: StaticString", apis, &out) { "\"\($0.name)\"" }
      out.line()
      out.documentation(["The versions that can be decoded and encoded."])
      emitSwitch("validVersions: ClosedRange<Int16>", apis, &out) {
        "\($0.versions.low)...\($0.versions.high)"
      }
      out.line()
      out.documentation([
        "The versions that Kafka 4.1 announces for the API in its default configuration: those not",
        "yet stable are left out, and Produce begins at 0 (KIP-896) for the sake of old clients that",
        "look at the minimum but never send it. Nil when the API is not announced at all.",
      ])
      emitSwitch("advertisedVersions: ClosedRange<Int16>?", apis, &out) {
        $0.advertised.map { "\($0.low)...\($0.high)" } ?? "nil"
      }
      out.line()
      out.documentation(["The first flexible version; nil if no version is."])
      emitSwitch("firstFlexibleVersion: Int16?", apis, &out) {
        $0.flexible.map(String.init) ?? "nil"
      }
    }
    return SwiftText.fileHead + out.text
  }

  private static func emitSwitch(
    _ declaration: String, _ apis: [Api], _ out: inout SwiftText, value: (Api) -> String
  ) {
    out.block("public var \(declaration)") { out in
      out.line("switch self {")
      for api in apis { out.line("case .\(caseName(api.name)): \(value(api))") }
      out.line("}")
    }
  }

  static func allMessages(_ messages: [Message]) -> String {
    var out = SwiftText()
    out.documentation([
      "Every generated message, for tests, fuzzing and tools; not for the data path."
    ])
    out.block("public enum AllMessages") { out in
      emitList("requests: [any WireRequest.Type]", messages, &out) {
        if case .request = $0.kind { true } else { false }
      }
      emitList("responses: [any WireResponse.Type]", messages, &out) {
        if case .response = $0.kind { true } else { false }
      }
      emitList("recordKeys: [any WireRecordKey.Type]", messages, &out) {
        if case .recordKey = $0.kind { true } else { false }
      }
      emitList("recordValues: [any WireRecordValue.Type]", messages, &out) {
        if case .recordValue = $0.kind { true } else { false }
      }
      emitList("data: [any WireMessage.Type]", messages, &out) { $0.kind == .data }
    }
    return SwiftText.fileHead + out.text
  }

  private static func emitList(
    _ declaration: String, _ messages: [Message], _ out: inout SwiftText,
    where isIncluded: (Message) -> Bool
  ) {
    out.line("public static let \(declaration) = [")
    for message in messages where isIncluded(message) { out.line("  \(message.name).self,") }
    out.line("]")
  }
}
