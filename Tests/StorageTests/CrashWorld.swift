// A log under a random load on a disk that is recorded, and what it has promised so far. What the load
// consists of is in `CrashWorld+Load`, the check of a disk after a crash in `CrashWorld+Check`.
//
// Everything that happens follows from the seed: the same one makes the same world, in another process
// as well. Hence no clock, and nothing in the order of a dictionary or of random names.

import Foundation
import Linux
import Model
import Records

@testable import Storage

final class CrashWorld {
  let device: RecordingDevice
  let temporary = TemporaryDirectory()
  private let home: String
  private var disk = DiskModel()
  var seed: Seed
  var executor: ManualSyncExecutor
  var directory: LogDirectory?
  let settings = LogSettings()
  var incarnations: [Incarnation] = []
  var nowMs: Int64 = 1_000_000
  private var nextTopicId: UInt64 = 1
  var epoch: Int32 = 0
  var imageCount = 0
  /// What is being put in the place of segments, and whose.
  var replacement: Replacement?
  /// Batches that are staged. The memory lives until the commit: an array's buffer may not.
  var memories: [UnsafeMutableRawBufferPointer] = []

  init(_ seed: Seed) throws {
    self.seed = seed
    try File.makeDirectory(temporary.path)
    home = "\(temporary.path)/live"
    try File.makeDirectory(home)
    device = RecordingDevice(root: home)
    executor = ManualSyncExecutor(device)
    settings.config.segmentBytes = 1_500
    settings.config.indexIntervalBytes = 200
    settings.config.fileDeleteDelayMs = 0
    settings.config.compacts = true
    if self.seed.chance(30) { settings.config.flushMessages = 7 }
    try open()
    for number in 0..<2 { try create(Int32(number)) }
  }

  private var dataPath: String { "\(home)/data" }

  private func open() throws {
    executor = ManualSyncExecutor(device)
    let opened = try LogDirectory(
      dataPath, nodeId: 1, clusterId: "c", settings: settings,
      environment: LogEnvironment(openSegmentsMax: 4, device: device, executor: executor))
    directory = opened
    for incarnation in incarnations where !incarnation.isDeleted {
      guard let log = opened.logs[incarnation.partition] else { continue }
      if log.needsRecovery || !log.unindexed.isEmpty { try log.recover(nowMs: nowMs) }
      log.lead(epoch)
      incarnation.waiting = []
    }
  }

  func create(_ number: Int32) throws {
    let partition = TopicPartition(topic: "t", partition: number)
    let topicId = UUID128(high: 1, low: nextTopicId)
    nextTopicId += 1
    // Known from before the first change: a crash may show any part of it.
    incarnations.append(Incarnation(partition, topicId))
    try directory?.create(partition, topicId: topicId, settings: settings).lead(epoch)
  }

  func log(_ incarnation: Incarnation) -> PartitionLog? {
    directory?.logs[incarnation.partition]
  }

  // MARK: Load

  /// Does one random thing. What it promises is noted when it is over.
  func step() throws {
    nowMs += 10
    let living = incarnations.filter { !$0.isDeleted }
    guard let one = living.randomElement(using: &seed) else { return }
    switch seed.int(1...100) {
    case 1...40: try append(one)
    case 41...65: performSyncs()
    case 66...75: try clean(one)
    case 76...82: directory?.beginCheckpoint()
    case 83...86:
      epoch += 1
      for each in living { log(each)?.lead(epoch) }
    case 87...90: try deleteRecords(one)
    // What a replacement puts aside is due by the wall's clock, which no seed repeats.
    case 91...93: try directory?.sweep(nowMs: .max / 2)
    case 94...95: try recreate(one)
    case 96...97: try restart(isClean: true)
    default: try restart(isClean: false)
    }
    takeNews()
  }

  private func restart(isClean: Bool) throws {
    if isClean, let failures = try directory?.close(), let first = failures.first {
      throw CrashFinding("a clean stop failed: \(first)")
    }
    directory = nil
    replacement = nil
    try open()
    for one in incarnations where !one.isDeleted {
      guard let log = log(one) else { throw CrashFinding("\(one.partition) is gone") }
      if log.isOffline { throw CrashFinding("\(one.partition) went offline") }
      guard log.logEndOffset == max(one.end, one.promisedStart) else {
        throw CrashFinding(
          "\(one.partition) ends at \(log.logEndOffset) instead of \(one.end) after a restart")
      }
      if isClean { one.promisedEnd = log.logEndOffset }
    }
  }

  /// Producers are told what has been made durable.
  private func takeNews() {
    for one in incarnations where !one.isDeleted {
      guard let log = log(one) else { continue }
      one.waiting.removeAll { offset in
        guard log.recoveryPoint >= offset else { return false }
        one.promisedEnd = max(one.promisedEnd, offset)
        return true
      }
    }
    directory?.environment.takeFlushed { _ in }
    _ = directory?.environment.takeCleanable()
  }

  // MARK: Crashes

  /// Runs a step, and lets the power go `count` times somewhere within it.
  /// - Returns: what was wrong afterwards.
  func stepWithCrashes(_ count: Int) throws -> [String] {
    let promises = incarnations.map(\.promise)
    try step()
    let changes = device.take()
    var findings: [String] = []
    for _ in 0..<count {
      let made = seed.int(0...changes.count)
      var image = disk
      for change in changes.prefix(made) { image.apply(change) }
      let loss = DiskModel.Loss.allCases[seed.int(0...3)]
      // Only what was told before the crash counts.
      let told = made == changes.count ? incarnations.map(\.promise) : promises
      if let finding = try check(image, loss, told) {
        findings.append("\(loss), after \(made) of \(changes.count) changes: \(finding)")
      }
    }
    for change in changes { disk.apply(change) }
    return findings
  }
}

/// Something that must not be.
struct CrashFinding: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
