// Completion of topic names in the shell: the broker is asked, the one that the command line names
// if it names one. A broker that is slow or absent must not hold the prompt up, so there is little
// time and nothing is said about failures.

import ArgumentParser
import Glibc
import KafkaProtocol

extension CompletionKind {
  /// Names of the topics that there are.
  static var topics: CompletionKind {
    .custom { words, _, prefix in TopicCompletion.names(words, prefix: prefix) }
  }
}

enum TopicCompletion {
  /// A broker that takes longer than this does not complete anything.
  private static let patienceSeconds: UInt32 = 1

  static func names(_ words: [String], prefix: String) -> [String] {
    signal(SIGALRM) { _ in _exit(0) }
    alarm(patienceSeconds)
    defer { alarm(0) }
    let cluster = Cluster(bootstrap: bootstrap(words))
    guard let response = try? cluster.metadata(nil) else { return [] }
    return response.topics.filter { !$0.isInternal }.compactMap(\.name)
      .filter { $0.hasPrefix(prefix) }.sorted()
  }

  /// What `--bootstrap-server` is in an unfinished command line. bash makes words of their own of
  /// `=` and `:`.
  static func bootstrap(_ words: [String]) -> String {
    for (index, word) in words.enumerated().dropFirst() {
      let inline = "--bootstrap-server="
      if word.hasPrefix(inline) { return String(word.dropFirst(inline.count)) }
      guard word == "-b" || word == "--bootstrap-server" else { continue }
      var rest = words[(index + 1)...]
      if rest.first == "=" { rest.removeFirst() }
      guard var value = rest.popFirst() else { break }
      while rest.first == ":" {
        rest.removeFirst()
        value += ":" + (rest.popFirst() ?? "")
      }
      return value
    }
    return BrokerOptions.bootstrapDefault
  }
}
