// A frontend makes way for another one and wants its sockets back.
import Foundation
import Glibc
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Fetcher

@Suite(.serialized) struct ReturningTests {
  private func family(_ sizes: [Int]) throws -> (Family, TestSegment) {
    let family = try Family()
    let segment = try TestSegment(family.directory, baseOffset: 0)
    try segment.append(sizes)
    try family.publish(slot: 0, segment)
    try family.publish([image()])
    try family.waitReady()
    return (family, segment)
  }

  @Test func longPollsAreReturnedAsTheyCameAndSessionsWait() throws {
    let (family, segment) = try family([100])
    let connection = try family.connect()
    let idle = try family.connect()
    let first = try family.fetch(
      request([1], version: 12, sessionEpoch: 0), version: 12, on: connection)
    _ = try family.fetch(request([1], version: 12, sessionEpoch: 0), version: 12, on: idle)
    var next = request(
      [], version: 12, maxWaitMs: 60_000, sessionId: first.message.sessionId, sessionEpoch: 1)
    next.topics = []
    try family.send(next, version: 12, on: connection)
    try family.send(next, version: 12, on: connection)
    try family.await("parked", 1)
    try family.frontend.send(.giveBack)
    let returned = try family.nextReturned()
    #expect(returned == ReturnedSocket(connection: connection.number, unanswered: 2))
    #expect(try family.counter("parked") == 0)
    // News reach nobody: the socket is not the fetcher's to write to.
    try segment.append([100])
    try family.publish(slot: 0, segment)
    try family.replaceFrontend()
    try family.await("connections", 0)
    #expect(try family.counter("sessions") == 2)
    connection.changeHands()
    try family.send(next, version: 12, on: connection)
    try family.answerOpen([segment])
    let response = try family.receive(version: 12, on: connection)
    #expect(response.message.errorCode == .none)
    #expect(response.message.sessionId == first.message.sessionId)
    #expect(response.records().count == 100)
    try family.stop()
  }

  @Test func theRestOfAResponseGoesAlong() throws {
    let (family, segment) = try family([Int](repeating: 70_000, count: 60))
    let large = request([0], version: 12, maxBytes: 50 << 20, partitionMaxBytes: 50 << 20)
    let other = try family.connect()
    try family.send(large, version: 12, on: other)
    try family.answerOpen([segment])
    let whole = try family.receive(version: 12, on: other)
    let slow = try family.connect(sendBuffer: 4096, receiveBuffer: 4096)
    try family.send(large, version: 12, on: slow)
    try family.send(large, version: 12, on: slow)
    try waitReadable(slow.client.rawValue)
    try family.frontend.send(.giveBack)
    let returned = try family.nextReturned()
    #expect(returned.connection == slow.number && returned.unanswered == 1)
    #expect(returned.sent > 0 && !returned.rest.isEmpty)
    #expect(try TCPSocket.writtenBytes(slow.server) == returned.sent)
    let frame = try slow.read(Int(returned.sent)) + returned.rest
    let length = frame[..<4].reduce(0) { $0 << 8 | Int($1) }
    #expect(frame.count == length + 4)
    let response = try TestResponse(Array(frame[4...]), version: 12)
    #expect(response.records() == whole.records())
    #expect(try family.counter("connections") == 2)
    try family.stop()
  }

  @Test func aFrontendThatAskedIsServedNothingMore() throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    try family.frontend.send(.giveBack)
    try family.send(request([0], version: 12), version: 12, on: connection)
    #expect(
      try family.nextReturned() == ReturnedSocket(connection: connection.number, unanswered: 1))
    try family.stop()
  }
}
