// What a partition remembers of one producer: its epoch and its last five batches (Kafka's
// ProducerStateEntry and BatchMetadata). A plain value of fixed size, changed in place.

/// One batch of an idempotent producer.
public struct ProducerBatch: Equatable, Sendable {
  public var lastSequence: Int32
  public var lastOffset: Int64
  /// Last offset - first offset.
  public var offsetDelta: Int32
  /// The batch's greatest timestamp in ms.
  public var timestamp: Int64

  public var firstOffset: Int64 { lastOffset - Int64(offsetDelta) }

  /// Sequence numbers wrap from Int32.max to 0.
  public var firstSequence: Int32 {
    offsetDelta > lastSequence
      ? Int32.max - (offsetDelta - lastSequence) + 1 : lastSequence - offsetDelta
  }
}

/// One producer.
public struct ProducerEntry: Sendable {
  /// How many batches are remembered: producers have at most as many requests in flight.
  public static let batchesMax = 5
  static let noBatch = ProducerBatch(
    lastSequence: -1, lastOffset: -1, offsetDelta: 0, timestamp: -1)

  public let producerId: Int64
  /// -1 before the first batch.
  public var producerEpoch: Int16 = -1
  /// Epoch of the transaction coordinator that wrote the last marker, -1 without one.
  public var coordinatorEpoch: Int32 = -1
  /// Timestamp of the last batch or marker in ms, by which the producer expires.
  public var lastTimestamp: Int64 = -1
  /// Where the transaction that is open begins, -1 without one.
  public var currentTxnFirstOffset: Int64 = -1
  /// Batches remembered of `producerEpoch`.
  public private(set) var batchCount = 0
  private var batches = InlineArray<5, ProducerBatch>(repeating: noBatch)

  init(producerId: Int64) { self.producerId = producerId }

  /// Batch `index` of the remembered ones, the oldest first.
  public func batch(_ index: Int) -> ProducerBatch {
    precondition(index < batchCount, "no such batch")
    return batches[index]
  }

  public var lastBatch: ProducerBatch? { batchCount == 0 ? nil : batches[batchCount - 1] }

  /// -1 when there is no batch of this epoch.
  var lastSequence: Int32 { lastBatch?.lastSequence ?? -1 }

  /// The remembered batch with exactly these sequence numbers.
  func duplicate(firstSequence: Int32, lastSequence: Int32) -> ProducerBatch? {
    for index in 0..<batchCount
    where batches[index].lastSequence == lastSequence
      && batches[index].firstSequence == firstSequence
    {
      return batches[index]
    }
    return nil
  }

  /// Adds the newest batch; the oldest of five is forgotten.
  mutating func remember(_ batch: ProducerBatch) {
    if batchCount == Self.batchesMax {
      for index in 1..<Self.batchesMax { batches[index - 1] = batches[index] }
      batches[Self.batchesMax - 1] = batch
    } else {
      batches[batchCount] = batch
      batchCount += 1
    }
  }

  mutating func forgetBatches() { batchCount = 0 }

  /// Takes over an epoch; batches of another one are forgotten.
  mutating func enter(_ epoch: Int16) {
    if epoch == producerEpoch { return }
    producerEpoch = epoch
    batchCount = 0
  }
}
