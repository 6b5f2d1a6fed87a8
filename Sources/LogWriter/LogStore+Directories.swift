// The directories of `log.dirs` as disks: which have room, which have failed, where a new partition
// goes.

import Configuration
import IPC
import Linux
import Logging
import Model
import Service
import Storage

extension SpaceLimits {
  init(_ configuration: BrokerConfiguration) {
    self.init(
      lowBytes: configuration.logDirFreeLowBytes, lowPercent: configuration.logDirFreeLowPercent,
      ballastBytes: configuration.logDirBallastBytes)
  }
}

/// A directory of `log.dirs` that could not be opened at the start.
struct UnopenedDirectory {
  let path: String
  let error: StorageError
}

extension LogStore {
  /// A directory whose disk refuses is left out, as long as there is another one; one that is not
  /// ours is the operator's mistake.
  func open(_ configuration: BrokerConfiguration) throws(ServiceFailure) {
    var clusterId = configuration.logDirs.lazy.compactMap { [environment] in
      LogDirectory.clusterId(in: $0, environment)
    }.first
    for path in configuration.logDirs {
      do throws(StorageError) {
        let directory = try LogDirectory(
          path, nodeId: configuration.nodeId, clusterId: clusterId, settings: LogSettings(),
          environment: environment)
        clusterId = directory.meta.clusterId
        if let twin = directories.first(where: { $0.meta.directoryId == directory.meta.directoryId }
        ) {
          throw StorageError(
            "open", path, .notOurs("it has the directory.id of \(twin.path): one is a copy"))
        }
        if directory.wasFormatted {
          log.event(
            .logDirFormatted, "\(path) had no meta.properties and is a new log directory now",
            metadata: ["logDir": "\(path)"])
        }
        directories.append(directory)
      } catch {
        if case .notOurs = error.cause { throw .configuration("\(error)") }
        guard case .system = error.cause else { throw .system("\(error)") }
        unopened.append(UnopenedDirectory(path: path, error: error))
      }
    }
    if directories.isEmpty, let first = unopened.first { throw .system("\(first.error)") }
    for directory in unopened {
      log.event(
        .logDirFailed, "\(directory.path) is offline: \(directory.error)",
        metadata: ["logDir": "\(directory.path)"])
    }
  }

  // MARK: Room

  /// Before records of producers are appended: looks whether there is room, if it is time to.
  func checkSpaceIfDue(nowNs: UInt64, bytesWritten: UInt64) {
    if spaceWatch.isDue(
      nowNs: nowNs, bytesTaken: bytesWritten + environment.bytesSetAside)
    {
      checkSpace(nowNs: nowNs, bytesWritten: bytesWritten)
    }
  }

  /// Looks at the room in every directory.
  func checkSpace(nowNs: UInt64, bytesWritten: UInt64) {
    var room = Int64.max
    for directory in directories where directory.failure == nil {
      do throws(StorageError) {
        if try directory.checkSpace(spaceLimits) { tellOfSpace(directory) }
        room = min(room, directory.space.availableBytes - spaceLimits.low(directory.space))
      } catch { if !giveUp(directory, error) { log.event(.systemTrouble, "\(error)") } }
    }
    spaceWatch.checked(
      nowNs: nowNs, bytesTaken: bytesWritten + environment.bytesSetAside, room: room)
  }

  /// Some directory is full or has failed.
  var isTroubled: Bool {
    for directory in directories where directory.isLow || directory.failure != nil { return true }
    return false
  }

  /// Producers are refused somewhere.
  var isAnyLow: Bool { directories.contains { $0.isLow && $0.failure == nil } }

  /// While the disk is full, what may go goes at once.
  func makeRoom() {
    retention.hasten()
    for directory in directories where directory.isLow { directory.hastenRemoval() }
  }

  /// A write of records found no room.
  func foundFull(_ directory: LogDirectory) {
    if directory.foundFull() { tellOfSpace(directory) }
  }

  /// Does what must not fail for want of room, and once more without the ballast.
  func withBallast<R>(_ directory: LogDirectory, _ body: () throws(StorageError) -> R)
    throws(StorageError) -> R
  {
    do throws(StorageError) { return try body() } catch {
      guard error.isDiskFull else { throw error }
      foundFull(directory)
      guard directory.releaseBallast() else { throw error }
      return try body()
    }
  }

  private func tellOfSpace(_ directory: LogDirectory) {
    let space = directory.space
    let room = "\(space.availableBytes >> 20) of \(space.totalBytes >> 20) MiB are free"
    if directory.isLow {
      log.event(
        .logDirLow, "\(directory.path) is low on space, records are refused: \(room)",
        metadata: ["logDir": "\(directory.path)"])
    } else {
      log.event(
        .logDirEnough, "\(directory.path) has enough space again: \(room)",
        metadata: ["logDir": "\(directory.path)"])
    }
  }

  // MARK: Failing

  /// Gives a directory up, with all its partitions, if the error says so.
  @discardableResult
  func giveUp(_ directory: LogDirectory, _ error: StorageError) -> Bool {
    guard directory.giveUp(because: error) else { return false }
    log.event(
      .logDirFailed,
      "\(directory.path) is offline with \(directory.logs.count) partitions: \(error)",
      metadata: ["logDir": "\(directory.path)"])
    return true
  }

  /// Why no directory is left, if none is.
  var lastFailure: StorageError? {
    directories.allSatisfy { $0.failure != nil } ? directories.last?.failure : nil
  }

  var hasOfflineDirectory: Bool {
    !unopened.isEmpty || directories.contains { $0.failure != nil }
  }

  /// Where a new partition goes: among the directories with room, the one with the fewest.
  var home: LogDirectory? {
    let usable = directories.filter { $0.failure == nil }
    let roomy = usable.filter { !$0.isLow }
    return (roomy.isEmpty ? usable : roomy).min { $0.logs.count < $1.logs.count }
  }

  // MARK: Telling

  /// What `systemctl status` shows of them; empty when all is well.
  var directoryStatus: String {
    var text = ""
    for directory in directories {
      if directory.failure != nil {
        text += ", \(directory.path) is offline"
      } else if directory.isLow {
        text +=
          ", \(directory.path) is low on space (\(directory.space.availableBytes >> 20) MiB free)"
      }
    }
    for directory in unopened { text += ", \(directory.path) is offline" }
    return text
  }

  /// For DescribeLogDirs.
  var logDirs: [LogDirState] {
    directories.map { directory in
      if directory.failure != nil {
        return LogDirState(path: directory.path, error: .kafkaStorageError)
      }
      let space = directory.currentSpace
      return LogDirState(
        path: directory.path, totalBytes: space?.totalBytes ?? -1,
        usableBytes: space?.availableBytes ?? -1,
        partitions: directory.logs.values.sorted { $0.partition < $1.partition }.map {
          LogDirState.Partition(
            topic: $0.partition.topic, partition: $0.partition.partition, size: $0.size)
        })
    } + unopened.map { LogDirState(path: $0.path, error: .kafkaStorageError) }
  }
}
