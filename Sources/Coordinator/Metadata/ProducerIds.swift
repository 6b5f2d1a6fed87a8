// Ids for idempotent producers, never given twice: a block is reserved in the metadata before the
// first id of it is given away, and what is left of it at a restart is lost.

import Model

final class ProducerIds {
  private let metadata: MetadataLog
  private var next: Int64 = 0
  private var end: Int64 = 0

  private static let blockSize: Int64 = 1000

  init(_ metadata: MetadataLog) { self.metadata = metadata }

  /// The next id, or the error of the store.
  func take(then: (Result<Int64, StoreError>) -> Void) {
    if next < end {
      next += 1
      return then(.success(next - 1))
    }
    let start = metadata.state.nextProducerId
    metadata.commit([.producerIdsReserved(next: start + Self.blockSize)]) { error in
      if let error { return then(.failure(error)) }
      next = start + 1
      end = start + Self.blockSize
      then(.success(start))
    }
  }
}
