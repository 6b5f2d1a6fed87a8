// What frontends and fetchers know of the topics: the coordinator sends a whole image when a
// connection begins and changes afterwards, each with the epoch it leads to. An image is never
// stale in a way that matters: slots carry generations, and the logwriter checks them.

import Model

/// A step of the image.
public struct ImageUpdate: Equatable, Sendable {
  /// Grows with every update.
  public var epoch: UInt64
  /// True: forget everything before. False: change what is named here.
  public var isSnapshot: Bool
  /// Topics that are new or changed, whole.
  public var topics: [TopicImage]
  /// Ids of topics that are gone.
  public var removed: [UUID128]

  public init(epoch: UInt64, isSnapshot: Bool, topics: [TopicImage], removed: [UUID128]) {
    self.epoch = epoch
    self.isSnapshot = isSnapshot
    self.topics = topics
    self.removed = removed
  }
}

/// A topic as the data path needs it.
public struct TopicImage: Equatable, Sendable {
  public var name: String
  public var id: UUID128
  /// `max.message.bytes`: the largest record batch in bytes.
  public var maxMessageBytes: Int32
  /// By partition index.
  public var partitions: [PartitionImage]
  /// `message.timestamp.type` is LogAppendTime.
  public var logAppendTime: Bool
  /// `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`.
  public var timestampBeforeMaxMs: Int64
  public var timestampAfterMaxMs: Int64
  /// `cleanup.policy` contains compact: every record must have a key.
  public var requiresKeys: Bool
  /// `min.insync.replicas`: with fewer replicas nothing is written with acks=all.
  public var minInsyncReplicas: Int32
  /// `compression.type` and its level.
  public var compression: TopicCompression

  public init(
    name: String, id: UUID128, maxMessageBytes: Int32, partitions: [PartitionImage],
    logAppendTime: Bool = false, timestampBeforeMaxMs: Int64 = .max,
    timestampAfterMaxMs: Int64 = 3_600_000, requiresKeys: Bool = false,
    minInsyncReplicas: Int32 = 1, compression: TopicCompression = .producer
  ) {
    self.name = name
    self.id = id
    self.maxMessageBytes = maxMessageBytes
    self.partitions = partitions
    self.logAppendTime = logAppendTime
    self.timestampBeforeMaxMs = timestampBeforeMaxMs
    self.timestampAfterMaxMs = timestampAfterMaxMs
    self.requiresKeys = requiresKeys
    self.minInsyncReplicas = minInsyncReplicas
    self.compression = compression
  }
}

/// A partition as the data path needs it.
public struct PartitionImage: Equatable, Sendable {
  /// The partition is not (yet, or any more) open: a retriable error for clients.
  public static let noSlot = UInt32.max
  /// The partition cannot be used until someone sees to its disk: KAFKA_STORAGE_ERROR for clients.
  public static let offlineSlot = UInt32.max - 1

  public var slot: UInt32
  public var generation: UInt32
  public var leaderEpoch: Int32

  public var isOffline: Bool { slot == Self.offlineSlot }

  public init(slot: UInt32, generation: UInt32, leaderEpoch: Int32) {
    self.slot = slot
    self.generation = generation
    self.leaderEpoch = leaderEpoch
  }
}

extension ImageUpdate {
  func encode(into writer: inout MessageWriter) {
    writer.put(epoch)
    writer.put(isSnapshot)
    writer.put(list: topics) { topic, writer in
      writer.put(topic.name)
      writer.put(topic.id)
      writer.put(topic.maxMessageBytes)
      writer.put(list: topic.partitions) { partition, writer in
        writer.put(partition.slot)
        writer.put(partition.generation)
        writer.put(partition.leaderEpoch)
      }
      writer.put(topic.logAppendTime)
      writer.put(topic.timestampBeforeMaxMs)
      writer.put(topic.timestampAfterMaxMs)
      writer.put(topic.requiresKeys)
      writer.put(topic.minInsyncReplicas)
      writer.put(topic.compression.type?.rawValue ?? .max)
      writer.put(topic.compression.level != nil)
      writer.put(topic.compression.level ?? 0)
    }
    writer.put(list: removed) { id, writer in writer.put(id) }
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    epoch = try reader.integer()
    isSnapshot = try reader.bool()
    topics = try reader.list(minimumSize: 54) { reader throws(MessageError) in
      TopicImage(
        name: try reader.string(), id: try reader.uuid(), maxMessageBytes: try reader.integer(),
        partitions: try reader.list(minimumSize: 12) { reader throws(MessageError) in
          PartitionImage(
            slot: try reader.integer(), generation: try reader.integer(),
            leaderEpoch: try reader.integer())
        },
        logAppendTime: try reader.bool(), timestampBeforeMaxMs: try reader.integer(),
        timestampAfterMaxMs: try reader.integer(), requiresKeys: try reader.bool(),
        minInsyncReplicas: try reader.integer(),
        compression: TopicCompression(
          type: try reader.compressionType(), level: try reader.optionalLevel()))
    }
    removed = try reader.list(minimumSize: 16) { reader throws(MessageError) in try reader.uuid() }
  }
}
