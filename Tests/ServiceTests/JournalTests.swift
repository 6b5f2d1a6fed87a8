// What the journal is given, and that its catalog explains every kind of event.

import Foundation
import Logging
import Testing

@testable import Service

struct JournalTests {
  private let handler = JournalHandler(processName: "sluice-fetcher@2")

  @Test func entriesHaveFields() {
    let fields = handler.fields(
      .warning, "a \u{1B}message",
      ["clientId": "x=\ny", "topic": "t", EventKind.metadataKey: "partitionOffline"])
    #expect(
      fields == [
        "MESSAGE=a ?message clientId=\"x=?y\" topic=t", "PRIORITY=4",
        "SYSLOG_IDENTIFIER=sluice-fetcher",
        "MESSAGE_ID=\(EventKind.partitionOffline.messageId)", "SLUICE_EVENT=PARTITION_OFFLINE",
        "SLUICE_CLIENT_ID=x=\ny", "SLUICE_INSTANCE=2", "SLUICE_TOPIC=t",
      ])
    #expect(
      handler.fields(.info, "m", [:]) == [
        "MESSAGE=m", "PRIORITY=6", "SYSLOG_IDENTIFIER=sluice-fetcher", "SLUICE_INSTANCE=2",
      ])
  }

  @Test(arguments: [
    ("topic", "TOPIC"), ("clientId", "CLIENT_ID"), ("peerUid2", "PEER_UID2"), ("a-b.c", "A_B_C"),
  ])
  func keysBecomeFieldNames(key: String, name: String) {
    #expect(JournalHandler.fieldName(key) == name)
  }

  @Test func terminalsAreNotToldTheKind() {
    #expect(LogText.line("m", [EventKind.metadataKey: "ready", "k": "v"]) == "m k=v")
  }

  @Test func messageIdsAreDistinctAndExplained() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
    let catalog = try String(
      contentsOf: root.appending(path: "systemd/sluice.catalog"), encoding: .utf8)
    let explained = catalog.split(separator: "\n").filter { $0.hasPrefix("-- ") }
      .map { String($0.dropFirst(3)) }
    let known = EventKind.allCases.map(\.messageId)
    #expect(Set(known).count == known.count)
    #expect(known.allSatisfy { $0.count == 32 })
    #expect(explained.sorted() == known.sorted())
  }
}
