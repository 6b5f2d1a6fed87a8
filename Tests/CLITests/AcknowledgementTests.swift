// What `sluice topics describe` says of acknowledgements.

import Testing

@testable import CLI

@Suite struct AcknowledgementTests {
  private func of(_ durable: String?, _ messages: Int64 = .max, _ ms: Int64 = .max)
    -> Acknowledgement?
  {
    var configs = ["flush.messages": "\(messages)", "flush.ms": "\(ms)"]
    configs["sluice.acks.all.durable"] = durable
    return Acknowledgement(configs)
  }

  @Test func theDefault() throws {
    let said = try #require(of("true"))
    #expect(said.all == "the records are on disk: they survive a power failure")
    #expect(said.one.hasPrefix("the records are in the page cache"))
    #expect(said.flushed == nil)
    #expect(said.lines.count == 2)
  }

  @Test func otherChoices() throws {
    let lazy = try #require(of("false"))
    #expect(lazy.all == lazy.one)
    let strict = try #require(of("false", 1))
    #expect(strict.one == "the records are on disk: they survive a power failure")
    #expect(strict.all == strict.one)
    #expect(
      of("true", 100, 50)?.flushed
        == "the records go to the disk with every 100th record, before it is acknowledged, "
        + "or 50 ms after they were written")
  }

  @Test func otherBrokersDoNotSay() { #expect(of(nil) == nil) }
}
