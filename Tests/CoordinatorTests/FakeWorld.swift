// The coordinator's surroundings without sockets, timers or clocks: time moves when a test says so,
// and the logwriter is a dictionary of logs with the answers of the real one.

import Configuration
import Foundation
import IPC
import KafkaProtocol
import Linux
import Logging
import Model
import Records
import Service
import Testing

@testable import Coordinator

/// One request's answer, as the frontend would get it.
struct Sent {
  var reply: Reply
  var frame: [UInt8]
  /// Number of the last image that was published before.
  var imageEpoch: UInt64
}

final class FakeWorld {
  let configuration: BrokerConfiguration
  let store: any MetadataStore
  let logWriter: FakeLogWriter
  private let metadata: MetadataLog
  private(set) lazy var broker = Broker(
    configuration: configuration.applying(
      metadata.state.dynamicConfigs(of: configuration.nodeId)
    ).configuration, metadata: metadata, world: self, log: Self.log)
  private(set) var sent: [Sent] = []
  private var sentByReply: [Reply: Int] = [:]
  private(set) var refused: [(reply: Reply, reason: String)] = []
  private(set) var images: [ImageUpdate] = []
  /// What siblings were told was set at run time.
  private(set) var configured: [DynamicBrokerConfigs] = []
  private var timers = TimerQueue<() -> Void>()
  /// ms since the test began; the wall clock began at `epochMs`.
  private(set) var nowMs: Int64 = 0
  private var lastRequest: UInt64 = 0
  /// Messages reach the logwriter at once unless this is false.
  var delivers = true
  var isConnected = false
  private var undelivered: [CoordinatorToLogWriter] = []
  private var queued: [() throws -> Void] = []
  private var isInRound = false

  static let epochMs: Int64 = 1_700_000_000_000

  init(
    _ overrides: [String] = [], store: (any MetadataStore)? = nil,
    logWriter: FakeLogWriter = FakeLogWriter(), connect: Bool = true
  ) throws {
    configuration = try BrokerConfiguration.load(file: nil, overrides: overrides)
    let store = try store ?? SQLiteStore(directory: TemporaryDirectory.make())
    self.store = store
    self.logWriter = logWriter
    metadata = try MetadataLog(store)
    if connect { self.connect() }
  }

  private static let log: Log = {
    var log = Log(label: "test") { _ in SwiftLogNoOpLogHandler() }
    log.logLevel = .critical
    return log
  }()

  // MARK: - What tests do

  /// The logwriter comes: scoreboard and inventory, then it answers.
  func connect() {
    isConnected = true
    broker.topics.belongs(toCluster: "cluster")
    broker.topics.found(logWriter.inventory, isLast: true)
    deliver()
  }

  /// The logwriter comes and says nothing any more after so many answers.
  func connect(answering count: Int) {
    isConnected = true
    delivers = false
    broker.topics.found(logWriter.inventory, isLast: true)
    for _ in 0..<count where !undelivered.isEmpty {
      for (answer, file) in logWriter.handle(undelivered.removeFirst()) { hear(answer, file) }
    }
  }

  /// The link breaks. Undelivered messages are lost.
  func disconnect() {
    isConnected = false
    delivers = true
    undelivered = []
    broker.topics.logWriterLost()
    broker.logs.lost()
    settle()
  }

  /// Sends a request as a client would and returns where its answer will go.
  @discardableResult
  func send<Request: WireRequest>(
    _ request: Request, version: Int16, clientId: String = "client", connection: UInt64 = 1,
    listener: String = "PLAINTEXT"
  ) throws -> Reply {
    var writer = WireWriter()
    try writer.writeRequest(
      request, version: version, correlationId: 7, clientId: clientId)
    lastRequest += 1
    HandledApis.handle(
      ClientRequest(
        connection: connection, request: lastRequest, listener: listener, peer: "10.0.0.9:4711",
        localHost: "10.0.0.1", localPort: 9092, principal: "User:ANONYMOUS",
        frame: Array(writer.bytes.dropFirst(4))),
      channel: 1, broker)
    let reply = Reply(
      channel: 1, connection: connection, request: lastRequest, apiKey: Request.apiKey,
      apiVersion: version, correlationId: 7)
    settle()
    return reply
  }

  /// The answer to an earlier request, or nil while it waits.
  func answer<Response: WireResponse>(
    _ type: Response.Type = Response.self, to reply: Reply
  ) throws -> Response? {
    guard let sent = sentByReply[reply].map({ sent[$0] }) else { return nil }
    var reader = WireReader(sent.frame.span.bytes, from: 4)
    #expect(try reader.readInt32("correlationId") == reply.correlationId)
    if reply.apiKey.responseHeaderVersion(reply.apiVersion) >= 1 { try reader.skipTaggedFields() }
    let response = try Response(reading: &reader, version: reply.apiVersion)
    try reader.finish()
    return response
  }

  func hasAnswered(_ reply: Reply) -> Bool { sentByReply[reply] != nil }

  /// Sends a request whose answer must be there at once.
  func ask<Request: WireRequest>(
    _ request: Request, version: Int16, clientId: String = "client"
  ) throws -> Request.Response {
    let reply = try send(request, version: version, clientId: clientId)
    return try #require(try answer(Request.Response.self, to: reply))
  }

  /// Lets time pass, timers coming due on the way.
  func pass(_ ms: Int64) {
    let end = nowMs + ms
    while true {
      let wait = timers.timeoutMs(nowNs: UInt64(nowMs) * 1_000_000)
      guard wait >= 0, nowMs + Int64(wait) <= end else { break }
      nowMs += Int64(wait)
      while let body = timers.next(nowNs: UInt64(nowMs) * 1_000_000) { body() }
      settle()
    }
    nowMs = end
  }

  /// Ends the round, and goes on as long as something is due at once.
  func settle() {
    if isInRound { return }
    for _ in 0..<10_000 {
      broker.groups.roundEnded()
      deliver()
      guard let body = timers.next(nowNs: UInt64(nowMs) * 1_000_000) else {
        if undelivered.isEmpty || !delivers || !isConnected { return }
        continue
      }
      body()
    }
    Issue.record("the round does not end")
  }

  var timerCount: Int { timers.count }

  /// The last message that has not reached the logwriter.
  var lastUndelivered: CoordinatorToLogWriter? { undelivered.last }

  /// Requests that arrive in one round: `send` between `enqueue` and `runQueued` does not end it.
  func enqueue(_ body: @escaping () throws -> Void) { queued.append(body) }

  func runQueued() throws {
    isInRound = true
    for body in queued { try body() }
    queued = []
    isInRound = false
    settle()
  }

  func deliver() {
    guard delivers, isConnected else { return }
    while !undelivered.isEmpty {
      let message = undelivered.removeFirst()
      for (answer, file) in logWriter.handle(message) { hear(answer, file) }
    }
  }

  private func hear(_ answer: LogWriterToCoordinator, _ file: OwnedFDBox?) {
    do {
      if let file {
        // Through a real socket: descriptors only come out of one.
        let pair = try UnixSocket.pair()
        let out = Channel<LogWriterToCoordinator, CoordinatorToLogWriter>(
          try pair.first.duplicate())
        let back = Channel<CoordinatorToLogWriter, LogWriterToCoordinator>(
          try pair.second.duplicate())
        try out.send(answer, descriptors: [file.descriptor.rawValue])
        try back.receive { message, descriptors throws(MessageError) in
          try self.broker.logs.answered(message, &descriptors)
        }
      } else {
        var none = DescriptorList()
        try broker.logs.answered(answer, &none)
      }
    } catch { Issue.record(error) }
  }
}

final class OwnedFDBox {
  let descriptor: OwnedFD
  init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
}

extension FakeWorld: ReplyPort {
  func answer<Response: WireResponse>(_ response: Response, to reply: Reply) {
    var writer = WireWriter()
    do {
      try writer.writeResponse(
        response, version: reply.apiVersion, correlationId: reply.correlationId)
    } catch { Issue.record(error) }
    if sentByReply.updateValue(sent.count, forKey: reply) != nil {
      Issue.record("answered twice: \(reply)")
    }
    sent.append(Sent(reply: reply, frame: writer.bytes, imageEpoch: images.last?.epoch ?? 0))
  }

  func refuse(_ reply: Reply, _ reason: String) { refused.append((reply, reason)) }
}

extension FakeWorld: TimerPort, ClockPort {
  func after(_ afterMs: Int64, _ body: @escaping () -> Void) -> TimerID {
    timers.add(deadlineNs: UInt64(nowMs + max(0, afterMs)) * 1_000_000, body)
  }

  func cancel(_ timer: TimerID) { timers.cancel(timer) }

  var wallMs: Int64 { Self.epochMs + nowMs }
}

extension FakeWorld: LogWriterPort, ScoreboardPort, ImagePort, ConfigurationPort {
  func configure(_ dynamic: DynamicBrokerConfigs) {
    configured.append(dynamic)
    broker.apply(configuration.applying(dynamic).configuration)
  }

  func send(_ message: CoordinatorToLogWriter) -> Bool {
    guard isConnected else { return false }
    undelivered.append(message)
    return true
  }

  func entry(_ ref: SlotRef) -> ScoreboardEntry? {
    isConnected ? logWriter.entry(ref) : nil
  }

  func publish(_ update: ImageUpdate) { images.append(update) }
}

enum TemporaryDirectory {
  /// A new empty directory that the system cleans up.
  static func make() -> String {
    let path = NSTemporaryDirectory() + "sluice-coordinator-\(UUID().uuidString)"
    return path
  }
}
