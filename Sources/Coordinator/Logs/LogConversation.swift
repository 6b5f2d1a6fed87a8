// What the coordinator has asked the logwriter and not heard of yet. Every question has a token;
// its answer, or the loss of the link, calls the continuation exactly once.

import IPC
import Linux
import Model

/// A segment that was opened for us. Its file closes with the last reference.
final class SegmentFile {
  let description: SegmentDescription
  let log: OwnedFD

  init(_ description: SegmentDescription, log: consuming OwnedFD) {
    self.description = description
    self.log = log
  }
}

enum SegmentAnswer {
  case segment(SegmentFile)
  case refused(ErrorCode)
  /// The logwriter went away.
  case lost
}

enum MaxTimestampAnswer {
  case found(offset: Int64, timestampMs: Int64)
  case refused(ErrorCode)
  case lost
}

/// A partition on the scoreboard, as its place was when it was looked up.
struct SlotRef: Hashable {
  var slot: UInt32
  var generation: UInt32
}

final class LogConversation {
  private enum Question {
    case states(([PartitionState]?) -> Void)
    case append((AppendedEntry?) -> Void)
    case segment((SegmentAnswer) -> Void)
    case maxTimestamp((MaxTimestampAnswer) -> Void)
    case recordsDeleted(([RecordsDeleted]?) -> Void)
    case logDirs(([LogDirState]?) -> Void)
  }

  private unowned let port: any LogWriterPort
  private var questions: [UInt64: Question] = [:]
  private var lastToken: UInt64 = 0

  init(_ port: any LogWriterPort) { self.port = port }

  /// Questions that are open.
  var openCount: Int { questions.count }

  func createPartitions(_ specs: [PartitionSpec], then: @escaping ([PartitionState]?) -> Void) {
    ask(.states(then)) { .createPartitions(token: $0, specs) }
  }

  /// The logwriter goes by other configurations for a topic from now on.
  func configureTopic(_ topicId: UUID128, _ config: LogConfig) {
    _ = port.send(.configureTopic(topicId: topicId, config))
  }

  func deletePartitions(_ names: [PartitionName], then: @escaping ([PartitionState]?) -> Void) {
    ask(.states(then)) { .deletePartitions(token: $0, names) }
  }

  /// Appends batches with acks=all: the answer comes when they are as durable as the topic wants.
  func append(_ ref: SlotRef, _ batches: [UInt8], then: @escaping (AppendedEntry?) -> Void) {
    ask(.append(then)) {
      .append(
        token: $0, slot: ref.slot, generation: ref.generation, acks: -1, batches: batches)
    }
  }

  func openSegment(_ ref: SlotRef, offset: Int64, then: @escaping (SegmentAnswer) -> Void) {
    ask(.segment(then)) {
      .openSegment(
        SegmentQuery(token: $0, slot: ref.slot, generation: ref.generation, offset: offset))
    }
  }

  func lookUpTimestamp(
    _ ref: SlotRef, timestampMs: Int64, then: @escaping (SegmentAnswer) -> Void
  ) {
    ask(.segment(then)) {
      .lookUpTimestamp(
        token: $0, slot: ref.slot, generation: ref.generation, timestampMs: timestampMs)
    }
  }

  func lookUpMaxTimestamp(_ ref: SlotRef, then: @escaping (MaxTimestampAnswer) -> Void) {
    ask(.maxTimestamp(then)) {
      .lookUpMaxTimestamp(token: $0, slot: ref.slot, generation: ref.generation)
    }
  }

  /// `then` is told of each entry in order, or nil when the logwriter went away.
  func deleteRecords(
    _ records: [RecordsToDelete], then: @escaping ([RecordsDeleted]?) -> Void
  ) {
    ask(.recordsDeleted(then)) { .deleteRecords(token: $0, records) }
  }

  func describeLogDirs(then: @escaping ([LogDirState]?) -> Void) {
    ask(.logDirs(then)) { .describeLogDirs(token: $0) }
  }

  /// Takes an answer in; messages that answer nothing are the caller's.
  func answered(
    _ message: LogWriterToCoordinator, _ descriptors: inout DescriptorList
  ) throws(MessageError) {
    switch message {
    case .partitionsCreated(let token, let states), .partitionsDeleted(let token, let states):
      guard case .states(let then) = try take(token) else { throw Self.mismatch(token) }
      then(states)
    case .appended(let token, let entry):
      guard case .append(let then) = try take(token) else { throw Self.mismatch(token) }
      then(entry)
    case .segment(let description):
      guard case .segment(let then) = try take(description.token) else {
        throw Self.mismatch(description.token)
      }
      guard let log = descriptors.take() else { throw MessageError("a segment without its file") }
      then(.segment(SegmentFile(description, log: log)))
    case .segmentUnavailable(let refusal):
      guard case .segment(let then) = try take(refusal.token) else {
        throw Self.mismatch(refusal.token)
      }
      then(.refused(refusal.error))
    case .maxTimestamp(let token, let error, let offset, let timestampMs):
      guard case .maxTimestamp(let then) = try take(token) else { throw Self.mismatch(token) }
      then(error == .none ? .found(offset: offset, timestampMs: timestampMs) : .refused(error))
    case .recordsDeleted(let token, let answers):
      guard case .recordsDeleted(let then) = try take(token) else { throw Self.mismatch(token) }
      then(answers)
    case .logDirs(let token, let directories):
      guard case .logDirs(let then) = try take(token) else { throw Self.mismatch(token) }
      then(directories)
    case .scoreboard, .inventory, .partitionChanged, .statistics:
      preconditionFailure("not an answer")
    }
  }

  /// The link is lost: every open question is answered with that.
  func lost() {
    let open = questions.sorted { $0.key < $1.key }
    questions.removeAll()
    for (_, question) in open { Self.answerLost(question) }
  }

  private func ask(_ question: Question, _ message: (UInt64) -> CoordinatorToLogWriter) {
    lastToken += 1
    if port.send(message(lastToken)) {
      questions[lastToken] = question
    } else {
      Self.answerLost(question)
    }
  }

  private static func answerLost(_ question: Question) {
    switch question {
    case .states(let then): then(nil)
    case .append(let then): then(nil)
    case .segment(let then): then(.lost)
    case .maxTimestamp(let then): then(.lost)
    case .recordsDeleted(let then): then(nil)
    case .logDirs(let then): then(nil)
    }
  }

  private func take(_ token: UInt64) throws(MessageError) -> Question {
    guard let question = questions.removeValue(forKey: token) else {
      throw MessageError("an answer to token \(token), which is not open")
    }
    return question
  }

  private static func mismatch(_ token: UInt64) -> MessageError {
    MessageError("an answer of another kind than question \(token)")
  }
}
