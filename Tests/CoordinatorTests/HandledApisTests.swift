// What the coordinator serves is what the frontend announces: both are held against the same page.

import Foundation
import KafkaProtocol
import Testing

@testable import Coordinator

@Suite struct HandledApisTests {
  /// Served elsewhere: by the logwriter, the fetchers and the frontend itself.
  private let others: Set<ApiKey> = [.produce, .fetch, .apiVersions]

  @Test func everythingThatIsNotSkippedIsServed() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: root.appending(path: "docs/skipped.md"), encoding: .utf8)
    let skipped = Set(
      text.split(separator: "\n").compactMap { line -> ApiKey? in
        let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        return line.hasPrefix("|") ? cells.first.flatMap { Int16($0) }.flatMap(ApiKey.init) : nil
      })
    let served = Set(HandledApis.all.map(\.key)).union(others)
    #expect(served == Set(ApiKey.allCases).subtracting(skipped))
    #expect(HandledApis.all.count == Set(HandledApis.all.map(\.key)).count)
  }

  @Test func theVersionsAreThoseThatKafkaAnnounces() {
    for api in HandledApis.all {
      #expect(api.versions == api.key.advertisedVersions, "\(api.key)")
    }
  }
}
