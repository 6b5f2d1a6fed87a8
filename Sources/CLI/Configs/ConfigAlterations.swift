// The options that change configurations, shared by `topics alter` and `configs alter`, and the
// request that carries them out.

import ArgumentParser
import KafkaProtocol
import Model

struct ConfigAlterations: ParsableArguments {
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Set a config; may be repeated.", valueName: "name=value"))
  var set: [String] = []
  @Option(
    name: .customLong("unset"),
    help: ArgumentHelp(
      "Go back to the value it has without being set; may be repeated.", valueName: "name"))
  var unset: [String] = []
  @Option(
    name: .customLong("append"),
    help: ArgumentHelp("Add to a config that is a list; may be repeated.", valueName: "name=value"))
  var append: [String] = []
  @Option(
    name: .customLong("subtract"),
    help: ArgumentHelp(
      "Take out of a config that is a list; may be repeated.", valueName: "name=value"))
  var subtract: [String] = []
  @Flag(help: "Only say whether the broker would do it.") var dryRun = false

  typealias Alteration = IncrementalAlterConfigsRequest.AlterableConfig

  var isEmpty: Bool { self.set.isEmpty && unset.isEmpty && append.isEmpty && subtract.isEmpty }

  var alterations: [Alteration] {
    func split(_ texts: [String], _ operation: Int8) -> [Alteration] {
      texts.map { text in
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return Alteration(
          name: String(parts[0]), configOperation: operation,
          value: parts.count > 1 ? String(parts[1]) : nil)
      }
    }
    return split(self.set, 0) + split(append, 2) + split(subtract, 3)
      + unset.map { Alteration(name: $0, configOperation: 1, value: nil) }
  }

  func validate() throws {
    for (option, texts) in [("--set", set), ("--append", append), ("--subtract", subtract)] {
      for text in texts where !text.contains("=") {
        throw ValidationError("\(option) wants name=value, not '\(text)'")
      }
    }
    for text in unset where text.contains("=") {
      throw ValidationError("--unset wants a name, not '\(text)'")
    }
  }

  /// Alters each resource as the options say.
  /// - Returns: what became of each, in the order of `names`.
  func carryOut(
    on names: [String], type: Int8, _ cluster: Cluster
  ) throws(ClientError) -> [ClientError?] {
    let response = try cluster.any().request(
      IncrementalAlterConfigsRequest(
        resources: names.map {
          .init(resourceType: type, resourceName: $0, configs: alterations)
        }, validateOnly: dryRun), waitMs: 30_000)
    return names.map { name in
      guard let answer = response.responses.first(where: { $0.resourceName == name }) else {
        return .refused(.unknownServerError, about: name, message: "the broker said nothing of it")
      }
      return answer.errorCode == .none
        ? nil
        : .refused(
          answer.errorCode, about: name.isEmpty ? "all brokers" : name,
          message: answer.errorMessage)
    }
  }
}

/// Kafka's kinds of resources that have configurations.
enum ConfigResource {
  static let topic: Int8 = 2
  static let broker: Int8 = 4
}
