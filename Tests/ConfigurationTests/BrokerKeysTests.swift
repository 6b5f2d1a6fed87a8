// The tables: complete, and each entry right in itself.

import Testing

@testable import Configuration

@Suite struct BrokerKeysTests {
  @Test func everyDocumentedNameIsThere() {
    for name in DocumentedNames.broker {
      #expect(BrokerKeys.named(name) != nil, "\(name)")
    }
    #expect(DocumentedNames.broker.count > 260)
    let topic = DocumentedNames.topic + DocumentedNames.ourTopic
    #expect(Set(topic) == Set(TopicKeys.all.filter { !$0.isInternal }.map(\.name)))
  }

  @Test func namesAreUnique() {
    #expect(Set(BrokerKeys.all.map(\.name)).count == BrokerKeys.all.count)
  }

  @Test func everyDefaultObeysItsRule() {
    for key in BrokerKeys.all + TopicKeys.all.map(\.key) {
      guard let text = key.defaultText else { continue }
      guard case .success = key.parse(text) else {
        Issue.record("\(key.name)=\(text)")
        continue
      }
    }
  }

  @Test func everyEntryIsExplained() {
    for key in BrokerKeys.all + TopicKeys.all.map(\.key) {
      #expect([".", "…"].contains(key.documentation.last), "\(key.name)")
      #expect(key.name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "." }, "\(key.name)")
    }
  }

  @Test(arguments: [
    ("log.dir", "log.dir"), ("num.partition", "num.partitions"),
    ("auto.create.topic.enable", "auto.create.topics.enable"), ("log.drs", "log.dirs"),
    ("advertized.listeners", "advertised.listeners"), ("listners", "listeners"),
    ("messages.max.byte", "message.max.bytes"), ("segment.bytes", "log.segment.bytes"),
  ])
  func nearestName(wrong: String, right: String) {
    #expect(BrokerKeys.nearest(to: wrong) == right)
  }

  @Test func farNamesHaveNoNearest() {
    #expect(BrokerKeys.nearest(to: "wholly.unrelated.thing.of.someone") == nil)
    #expect(BrokerKeys.nearest(to: "") == nil)
  }

  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "abd", 1),
    ("kitten", "sitting", 3), ("ab", "ba", 1), ("abcd", "badc", 2),
  ])
  func editDistance(a: String, b: String, expected: Int) {
    #expect(NearestName.distance(Array(a.utf8), Array(b.utf8)) == expected)
    #expect(NearestName.distance(Array(b.utf8), Array(a.utf8)) == expected)
  }
}
