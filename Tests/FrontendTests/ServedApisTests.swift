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
}
