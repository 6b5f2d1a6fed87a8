// Taking a Fetch frame apart. The frame is walked twice: first to see that all of it can be read,
// then to take its partitions over, so that a broken request changes no session.

import IPC
import KafkaProtocol
import Model

/// What a request says before and besides its partitions.
struct FetchHead: Equatable {
  var version: Int16 = 0
  var correlationId: Int32 = 0
  /// -1 for consumers.
  var replicaId: Int32 = -1
  var maxWaitMs: Int32 = 0
  var minBytes: Int32 = 0
  var maxBytes: Int32 = 0
  var isReadCommitted = false
  var sessionId: Int32 = 0
  var sessionEpoch: Int32 = -1
  /// Where the body begins in the frame.
  var bodyOffset = 0

  /// Epoch 0 asks for a new session, -1 for none: either way the request names all its partitions.
  var isFull: Bool { sessionEpoch == 0 || sessionEpoch == -1 }
  var usesTopicIds: Bool { version >= 13 }
}

/// A frame that is no Fetch request that we serve; the text says why.
struct FetchRefusal: Error {
  let reason: String
}

enum FetchRequestReading {
  /// A broker cannot have more, so that nobody needs to ask for more.
  static let partitionsMax = ScoreboardLayout.capacity

  /// Reads the head and checks that the whole frame can be read.
  static func head(_ frame: [UInt8]) throws(FetchRefusal) -> FetchHead {
    do throws(WireError) {
      let request = try RequestHead(readingFrame: frame.span.bytes)
      guard request.apiKey == .fetch, request.isSupported else {
        throw WireError(.unsupportedVersion, "FetchRequest", at: 2)
      }
      var walker = try FetchRequestWalker(
        reading: WireReader(frame.span.bytes, from: request.bodyOffset),
        version: request.apiVersion)
      var partitions = 0
      while let item = try walker.next() {
        guard case .fetchPartition = item else { continue }
        partitions += 1
        if partitions > partitionsMax {
          throw WireError(.countExceedsBytes, "partitions", at: walker.reader.offset)
        }
      }
      return FetchHead(
        version: request.apiVersion, correlationId: request.correlationId,
        replicaId: request.apiVersion >= 15 ? walker.replicaState.replicaId : walker.replicaId,
        maxWaitMs: walker.maxWaitMs, minBytes: walker.minBytes, maxBytes: walker.maxBytes,
        isReadCommitted: walker.isolationLevel == 1, sessionId: walker.sessionId,
        sessionEpoch: walker.sessionEpoch, bodyOffset: request.bodyOffset)
    } catch { throw FetchRefusal(reason: "a Fetch request that cannot be read: \(error)") }
  }

  /// Puts what the frame asks for into `partitions`, and takes out what it forgets.
  /// - Parameter frame: one that `head` has accepted.
  static func take(_ frame: [UInt8], _ head: FetchHead, into partitions: FetchPartitions)
    throws(FetchRefusal)
  {
    do throws(WireError) {
      var walker = try FetchRequestWalker(
        reading: WireReader(frame.span.bytes, from: head.bodyOffset), version: head.version)
      // A topic without partitions leaves no trace.
      var topic = FetchTopic(id: .zero, name: "")
      var place: Int32 = -1
      var forgotten = FetchTopic(id: .zero, name: "")
      while let item = try walker.next() {
        switch item {
        case .fetchTopic(let wanted):
          topic = FetchTopic(id: wanted.topicId, name: wanted.topic.string(in: frame.span.bytes))
          place = -1
        case .fetchPartition(let wanted):
          if place < 0 { place = partitions.place(of: topic) }
          partitions.put(
            FetchTarget(
              topic: place, partition: wanted.partition, fetchOffset: wanted.fetchOffset,
              maxBytes: wanted.partitionMaxBytes, currentLeaderEpoch: wanted.currentLeaderEpoch,
              lastFetchedEpoch: wanted.lastFetchedEpoch))
        case .forgottenTopic(let topic):
          forgotten = FetchTopic(
            id: topic.topicId, name: topic.topic.string(in: frame.span.bytes))
        case .forgottenTopicPartitions(let partition):
          partitions.remove(forgotten, partition: partition)
        }
      }
    } catch { throw FetchRefusal(reason: "a Fetch request that cannot be read: \(error)") }
  }
}
