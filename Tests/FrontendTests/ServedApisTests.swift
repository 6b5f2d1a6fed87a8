// What is told to clients, what is let through, and what the documentation says agree.
import Foundation
import KafkaProtocol
import Testing

@testable import Frontend

@Suite struct ServedApisTests {
  @Test func whatIsNotServedIsDocumented() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: root.appending(path: "docs/skipped.md"), encoding: .utf8)
    // Rows of the table: | key | name | …
    let rows = text.split(separator: "\n").compactMap { line -> Int16? in
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      return cells.first.flatMap { Int16($0) }
    }
    let skipped = ApiKey.allCases.filter { !ServedApis.keys.contains($0) }.map(\.rawValue)
    #expect(rows == skipped.sorted())
  }

  @Test func onlyWhatIsToldIsServed() {
    for key in ApiKey.allCases {
      for version in Int16(-1)...30 {
        let isTold = ServedApis.keys.contains(key) && ServedApis.toldVersions(key).contains(version)
        let isServed = ServedApis.serves(key, version: version)
        #expect(isServed == (isTold && !(key == .produce && version < 3)), "\(key) \(version)")
      }
    }
  }

  @Test func linesOfOneRuleAreFew() {
    var limiter = LogLimiter()
    #expect(admitted(&limiter, .unreadable, 0) == 0)
    for _ in 0..<100 { #expect(admitted(&limiter, .unreadable, 5) == nil) }
    #expect(admitted(&limiter, .notServed, 5) == 0, "another rule")
    #expect(limiter.takeSuppressed(nowNs: 999_999_999).isEmpty, "its second is not over")
    #expect(limiter.hasSuppressed)
    let told = limiter.takeSuppressed(nowNs: 1_000_000_000)
    #expect(told.map(\.count) == [100] && told.map(\.rule) == [.unreadable])
    #expect(!limiter.hasSuppressed)
    #expect(admitted(&limiter, .unreadable, 1_000_000_001) == 0, "the next one is named")
    #expect(admitted(&limiter, .unreadable, 1_500_000_000) == nil)
    #expect(admitted(&limiter, .unreadable, 2_000_000_001) == 1)
    #expect(limiter.takeSuppressed(nowNs: 9_000_000_000).isEmpty)
  }

  private func admitted(_ limiter: inout LogLimiter, _ rule: ClosingRule, _ nowNs: UInt64) -> Int? {
    limiter.admit(rule, nowNs: nowNs)
  }
}
