// Which batch of an idempotent producer may come next, as Kafka's ProducerAppendInfo decides.

import Model
import Records
import Testing

@testable import Storage

struct ProducerStateTests {
  private func header(
    _ epoch: Int16, _ sequence: Int32, records: Int32 = 1, at offset: Int64 = 0,
    transactional: Bool = false
  ) -> RecordBatchHeader {
    var header = RecordBatchHeader(
      baseOffset: offset, attributes: .init(isTransactional: transactional),
      lastOffsetDelta: records - 1, baseTimestamp: 10, maxTimestamp: 20, recordCount: records)
    header.producerId = 7
    header.producerEpoch = epoch
    header.baseSequence = sequence
    return header
  }

  private func verdict(_ state: ProducerState, _ header: RecordBatchHeader) -> String {
    switch state.judge(header) {
    case .inOrder: "in order"
    case .duplicate(let batch): "duplicate at \(batch.firstOffset)"
    case .refused(let error): "refused \(error.rawValue)"
    }
  }

  @Test func unknownProducersMayBeginAnywhere() {
    #expect(verdict(ProducerState(), header(0, 0)) == "in order")
    #expect(verdict(ProducerState(), header(5, 4711)) == "in order")
  }

  @Test func sequencesInOrder() {
    var state = ProducerState()
    state.apply(header(1, 0, records: 10, at: 100))
    let cases: [(RecordBatchHeader, String)] = [
      (header(1, 10), "in order"),
      (header(1, 0, records: 10), "duplicate at 100"),
      (header(1, 0, records: 9), "refused 45"),
      (header(1, 11), "refused 45"),
      (header(1, 9), "refused 45"),
      (header(0, 10), "refused 47"),
      (header(0, 0, records: 10), "refused 47"),
      (header(2, 0), "in order"),
      (header(2, 10), "refused 45"),
    ]
    for (batch, expected) in cases {
      #expect(verdict(state, batch) == expected, "\(batch.producerEpoch) \(batch.baseSequence)")
    }
  }

  @Test func fiveBatchesAreRemembered() {
    var state = ProducerState()
    for index in 0..<7 { state.apply(header(0, Int32(index), at: Int64(index * 10))) }
    for index in 0..<2 { #expect(verdict(state, header(0, Int32(index))) == "refused 45") }
    for index in 2..<7 {
      #expect(verdict(state, header(0, Int32(index))) == "duplicate at \(index * 10)")
    }
    state.apply(header(1, 0, at: 70))
    #expect(verdict(state, header(0, 6)) == "refused 47")
    #expect(verdict(state, header(1, 0)) == "duplicate at 70")
  }

  @Test func sequencesWrap() {
    var state = ProducerState()
    state.apply(header(0, .max - 1, records: 2, at: 50))
    #expect(verdict(state, header(0, 0)) == "in order")
    #expect(verdict(state, header(0, 1)) == "refused 45")
    #expect(verdict(state, header(0, .max - 1, records: 2)) == "duplicate at 50")

    var across = ProducerState()
    across.apply(header(0, .max - 2, records: 5, at: 60))
    #expect(across[7]?.lastBatch?.lastSequence == 1)
    #expect(across[7]?.lastBatch?.firstSequence == Int32.max - 2)
    #expect(verdict(across, header(0, .max - 2, records: 5)) == "duplicate at 60")
    #expect(verdict(across, header(0, 2)) == "in order")
  }

  @Test func expiryKeepsOpenTransactions() {
    var state = ProducerState()
    state.apply(header(0, 0))
    state.expire(nowMs: 119, expirationMs: 100)
    #expect(!state.isEmpty)
    state.expire(nowMs: 120, expirationMs: 100)
    #expect(state.isEmpty)
    state.apply(header(0, 0, at: 5, transactional: true))
    state.expire(nowMs: 1_000, expirationMs: 100)
    #expect(!state.isEmpty)
    #expect(state.firstUnstableOffset == 5)
  }

  @Test func markersEndTransactions() {
    var state = ProducerState()
    state.apply(header(0, 0, records: 3, at: 5, transactional: true))
    state.apply(header(0, 3, at: 8, transactional: true))
    #expect(state.firstUnstableOffset == 5)
    #expect(verdict(state, header(0, 4)) == "refused 48")
    var marker = header(1, -1, at: 9, transactional: true)
    marker.attributes.isControlBatch = true
    let commit = EndTransactionMarker(isCommit: true, coordinatorEpoch: 4)
    #expect(state.judge(commit, marker) == .none)
    #expect(state.apply(commit, marker) == nil)
    #expect(state.firstUnstableOffset == -1)
    #expect(state[7]?.coordinatorEpoch == 4)
    #expect(state[7]?.producerEpoch == 1)
    #expect(verdict(state, header(1, 0)) == "in order")
    #expect(verdict(state, header(1, 1)) == "refused 45")
  }

  @Test func abortsAreTold() {
    var state = ProducerState()
    let abort = EndTransactionMarker(isCommit: false, coordinatorEpoch: 4)
    func marker(_ id: Int64, at offset: Int64) -> RecordBatchHeader {
      var marker = header(0, -1, at: offset, transactional: true)
      marker.attributes.isControlBatch = true
      marker.producerId = id
      return marker
    }
    var second = header(0, 0, records: 2, at: 8, transactional: true)
    second.producerId = 9
    state.apply(header(0, 0, records: 3, at: 5, transactional: true))
    state.apply(second)
    #expect(
      state.apply(abort, marker(9, at: 10))
        == AbortedTransaction(producerId: 9, firstOffset: 8, lastOffset: 10, lastStableOffset: 5))
    #expect(state.apply(abort, marker(9, at: 11)) == nil, "nothing was open")
    #expect(
      state.apply(abort, marker(7, at: 12))
        == AbortedTransaction(producerId: 7, firstOffset: 5, lastOffset: 12, lastStableOffset: 13))
    #expect(state.firstUnstableOffset == -1)
    var old = marker(7, at: 13)
    old.producerEpoch = -1
    #expect(state.judge(abort, old) == .invalidProducerEpoch)
    let zombie = EndTransactionMarker(isCommit: true, coordinatorEpoch: 3)
    #expect(state.judge(zombie, marker(7, at: 13)) == .transactionCoordinatorFenced)
    #expect(state.judge(zombie, marker(70, at: 13)) == .none, "a producer that is not known")
  }
}
