// Slow clients, clients that go away, siblings that die, and leaving no descriptor behind.
import Foundation
import Glibc
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Fetcher

@Suite(.serialized) struct HardTimesTests {
  private func family(_ sizes: [Int], sessions: Int = 1000) throws -> (Family, TestSegment) {
    let family = try Family(sessions: sessions)
    let segment = try TestSegment(family.directory, baseOffset: 0)
    try segment.append(sizes)
    try family.publish(slot: 0, segment)
    try family.publish([image()])
    try family.waitReady()
    return (family, segment)
  }

  private func large(_ version: Int16 = 12) -> FetchRequest {
    request([0], version: version, maxBytes: 50 << 20, partitionMaxBytes: 50 << 20)
  }

  @Test func aSlowClientGetsEveryByte() throws {
    let (family, segment) = try family([Int](repeating: 70_000, count: 40))
    let connection = try family.connect(sendBuffer: 4096)
    try family.send(large(), version: 12, on: connection)
    try family.answerOpen([segment])
    let response = try family.receive(version: 12, on: connection)
    #expect(response.records() == segment.bytes)
    try family.stop()
  }

  @Test func aClientThatNeverReadsHoldsUpNobody() throws {
    let (family, segment) = try family([Int](repeating: 70_000, count: 100))
    let stuck = try family.connect(sendBuffer: 4096, receiveBuffer: 4096)
    try family.send(large(), version: 12, on: stuck)
    try family.answerOpen([segment])
    for _ in 0..<20 {
      let connection = try family.connect()
      let response = try family.fetch(large(), version: 12, on: connection)
      #expect(response.records().count == segment.bytes.count)
    }
    // Its frontend gives it up; the fetcher lets go of everything.
    try family.frontend.send(.forget(connection: stuck.number))
    try family.await("connections", 20)
    try family.stop()
  }

  @Test func aConnectionForgottenWhileItWaits() throws {
    let (family, segment) = try family([100])
    let connection = try family.connect()
    try family.send(
      request([1], version: 12, maxWaitMs: 60_000, sessionEpoch: 0), version: 12, on: connection)
    try family.await("parked", 1)
    try family.frontend.send(.forget(connection: connection.number))
    try family.await("parked", 0)
    #expect(try family.counter("connections") == 0)
    // News of the partition find nobody.
    try segment.append([100])
    try family.publish(slot: 0, segment)
    let other = try family.connect()
    try family.send(request([1], version: 12), version: 12, on: other)
    try family.answerOpen([segment])
    #expect(try family.receive(version: 12, on: other).records().count == 100)
    try family.stop()
  }

  @Test func aSessionEndsWithItsConnection() throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    _ = try family.fetch(
      request([1], version: 12, sessionEpoch: 0), version: 12, on: connection)
    #expect(try family.counter("sessions") == 1)
    try family.frontend.send(.forget(connection: connection.number))
    try family.await("sessions", 0)
    try family.stop()
  }

  @Test func aClientThatIsGoneIsToldToTheFrontend() throws {
    let (family, segment) = try family([Int](repeating: 70_000, count: 100))
    let connection = try family.connect(sendBuffer: 4096, receiveBuffer: 4096)
    try TCPSocket.setAbortOnClose(connection.client)
    try family.send(large(), version: 12, on: connection)
    try family.answerOpen([segment])
    try waitReadable(connection.client.rawValue)
    // A reset, as of a client that was killed.
    shutdown(connection.client.rawValue, Int32(SHUT_RDWR))
    Socket.shutdownBoth(connection.server)
    guard case .refused(let number, let reason) = try family.frontend.next() else {
      Issue.record("not refused")
      return
    }
    #expect(number == connection.number)
    #expect(reason.hasPrefix("cannot send"))
    try family.stop()
  }

  @Test func aFrontendThatDiesTakesItsClientsAlong() throws {
    let (family, _) = try family([100])
    for _ in 0..<3 {
      let connection = try family.connect()
      try family.send(
        request([1], version: 12, maxWaitMs: 60_000), version: 12, on: connection)
    }
    try family.await("parked", 3)
    family.frontend.channel.abort()
    try family.await("connections", 0)
    try family.stop()
  }

  @Test func aNewLogwriter() throws {
    let (family, segment) = try family([100])
    let connection = try family.connect()
    let first = try family.fetch(
      request([1], version: 12, sessionEpoch: 0), version: 12, on: connection)
    var next = request(
      [], version: 12, maxWaitMs: 60_000, sessionId: first.message.sessionId, sessionEpoch: 1)
    next.topics = []
    try family.send(next, version: 12, on: connection)
    try family.await("parked", 1)
    try family.replaceLogWriter()
    // The partition has another slot now; the session goes on as if nothing had been.
    try segment.append([100])
    try family.publish(slot: 3, generation: 2, segment)
    try family.publish([image(slots: [3], generation: 2)])
    try family.answerOpen([segment])
    let response = try family.receive(version: 12, on: connection)
    #expect(response.message.sessionId == first.message.sessionId)
    #expect(response.records().count == 100)
    try family.stop()
  }

  @Test func withoutALogwriterTheErrorIsRetriable() throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    try family.replaceLogWriter()
    try family.await("parked", 0)
    let response = try family.fetch(
      request([0], version: 12, maxWaitMs: 20), version: 12, on: connection)
    #expect(response.partitions[0].errorCode == .notLeaderOrFollower)
    try family.stop()
  }

  @Test func aSegmentThatIsGone() throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    for _ in 0..<2 {
      try family.send(request([0], version: 12, maxWaitMs: 60_000), version: 12, on: connection)
      try family.answerOpen([])
      let response = try family.receive(version: 12, on: connection)
      #expect(response.partitions[0].errorCode == .offsetOutOfRange)
    }
    try family.stop()
  }

  @Test func stoppingAnswersWhoWaits() throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    try family.send(
      request([1], version: 12, maxWaitMs: 60_000), version: 12, on: connection)
    try family.await("parked", 1)
    family.terminate()
    guard case .draining = try family.frontend.next() else {
      Issue.record("not draining")
      return
    }
    let response = try family.receive(version: 12, on: connection)
    #expect(response.partitions[0].errorCode == .none)
    #expect(response.records().isEmpty)
  }

  @Test func noDescriptorIsLeft() throws {
    let (family, segment) = try family([100])
    let directory = family.directory.path
    for round in 0..<200 {
      let connection = try family.connect()
      try family.send(request([0], version: 12), version: 12, on: connection)
      if round == 0 { try family.answerOpen([segment]) }
      _ = try family.receive(version: 12, on: connection)
      try family.frontend.send(.forget(connection: connection.number))
    }
    try family.await("connections", 0)
    // The segment that is cached, and nothing else of this test's directory.
    #expect(links(containing: directory) == 2)
    try family.stop()
    #expect(links(containing: directory) == 0)
  }

  private func links(containing text: String) -> Int {
    guard let names = try? File.names(in: "/proc/self/fd") else { return -1 }
    return names.count { name in
      var target = [CChar](repeating: 0, count: 512)
      let length = readlink("/proc/self/fd/\(name)", &target, target.count)
      return length > 0
        && String(decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
          .contains(text)
    }
  }
}

struct EncoderTests {
  /// Field by field the same as the generated encoder, which knows nothing of ours.
  @Test(arguments: 4...18 as ClosedRange<Int16>)
  func responsesAsTheGeneratedEncoderWritesThem(version: Int16) throws {
    var head = FetchHead()
    head.version = version
    head.correlationId = 77
    let topic = FetchTopic(id: topicId, name: "tópic")
    var known = FoundRecords()
    known.highWatermark = 1 << 40
    known.lastStableOffset = 3
    known.logStartOffset = 4
    var diverging = known
    if version >= 12 { diverging.divergingEpoch = (epoch: 9, endOffset: 10) }
    for isReadCommitted in [false, true] {
      head.isReadCommitted = isReadCommitted
      let encoder = FetchResponseEncoder()
      encoder.begin(head, error: .none, sessionId: version >= 7 ? 5 : 0, topics: 1)
      encoder.topic(topic, partitions: 3, head)
      encoder.partition(0, known, head)
      encoder.partition(1, FoundRecords(.offsetOutOfRange), head)
      encoder.partition(200, diverging, head)
      encoder.endTopic(head)
      encoder.end(head)
      let aborted: [FetchResponse.AbortedTransaction]? = isReadCommitted ? [] : nil
      func partition(_ index: Int32, _ found: FoundRecords) -> FetchResponse.PartitionData {
        FetchResponse.PartitionData(
          partitionIndex: index, errorCode: found.error, highWatermark: found.highWatermark,
          lastStableOffset: found.lastStableOffset, logStartOffset: found.logStartOffset,
          divergingEpoch: found.divergingEpoch.map {
            .init(epoch: $0.epoch, endOffset: $0.endOffset)
          } ?? .init(), abortedTransactions: aborted, records: .inline([]))
      }
      var expected = WireWriter()
      try expected.writeResponse(
        FetchResponse(
          sessionId: version >= 7 ? 5 : 0,
          responses: [
            .init(
              topic: version < 13 ? topic.name : "", topicId: version < 13 ? .zero : topic.id,
              partitions: [
                partition(0, known), partition(1, FoundRecords(.offsetOutOfRange)),
                partition(200, diverging),
              ])
          ]), version: version, correlationId: 77)
      #expect(encoder.writer.bytes == expected.bytes)
    }
  }
}

struct WaiterTableTests {
  @Test func waitersComeAndGo() {
    var table = WaiterTable()
    func waiters(_ slot: UInt32) -> Set<Int32> {
      var found: [WaiterTable.Waiter] = []
      table.collect(slot, into: &found)
      return Set(found.map(\.client))
    }
    let a = table.add(1, .init(client: 1, target: 0))
    let b = table.add(1, .init(client: 2, target: 0))
    let c = table.add(1, .init(client: 3, target: 0))
    let d = table.add(2, .init(client: 1, target: 1))
    #expect(waiters(1) == [1, 2, 3])
    table.remove(b)
    #expect(waiters(1) == [1, 3])
    table.remove(c)
    #expect(waiters(1) == [1])
    #expect(waiters(2) == [1])
    table.remove(a)
    #expect(waiters(1) == [])
    let e = table.add(1, .init(client: 9, target: 0))
    #expect(waiters(1) == [9])
    table.remove(d)
    table.remove(e)
    #expect(table.count == 0)
  }
}
