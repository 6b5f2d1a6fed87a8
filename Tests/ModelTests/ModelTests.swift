// Names and ids.
import Model
import Testing

struct UUID128Tests {
  /// Pairs as Kafka's `Uuid.toString` and `Uuid.fromString` give them.
  @Test(arguments: [
    (UUID128.zero, "AAAAAAAAAAAAAAAAAAAAAA"),
    (UUID128(high: 0, low: 1), "AAAAAAAAAAAAAAAAAAAAAQ"),
    (UUID128(high: .max, low: .max), "_____________________w"),
    (UUID128(high: 0x0001_0203_0405_0607, low: 0x0809_0A0B_0C0D_0E0F), "AAECAwQFBgcICQoLDA0ODw"),
  ])
  func text(id: UUID128, text: String) {
    #expect(id.description == text)
    #expect(UUID128(text) == id)
    #expect(UUID128(text + "==") == id)
  }

  @Test func whatIsNoId() {
    for text in [
      "", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAA+AAAAAAAAAAA",
      "AAAAAAAAAAAAAAAAAAAAAA=!", "ÄAAAAAAAAAAAAAAAAAAAA",
    ] {
      #expect(UUID128(text) == nil, "\(text)")
    }
  }

  @Test func randomIdsComeBack() {
    for _ in 0..<1000 {
      let id = UUID128.random()
      #expect(UUID128(id.description) == id)
      #expect(!id.description.hasPrefix("-"))
      #expect(id.high >> 12 & 0xF == 4)
      #expect(id.low >> 62 == 0b10)
    }
  }
}

struct TopicNameTests {
  @Test(arguments: [
    "a", "A-b_c.9", "__consumer_offsets", "...", String(repeating: "x", count: 249),
  ])
  func legal(name: String) {
    #expect(TopicName.violation(of: name) == nil)
  }

  @Test(arguments: [
    "", ".", "..", "a/b", "../x", "a b", "ü", "a\0", "a\n", "a:b",
    String(repeating: "x", count: 250),
  ])
  func illegal(name: String) {
    #expect(TopicName.violation(of: name) != nil)
  }

  @Test func order() {
    let names = [
      TopicPartition(topic: "b", partition: 0), TopicPartition(topic: "a", partition: 10),
      TopicPartition(topic: "a", partition: 2),
    ]
    #expect(names.sorted().map(\.description) == ["a-2", "a-10", "b-0"])
    #expect(TopicName.isInternal("__consumer_offsets"))
    #expect(!TopicName.isInternal("consumer_offsets"))
  }
}
