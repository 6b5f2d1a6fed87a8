// What happens because time passes. No timer runs while there is nothing for it to do.

import Linux
import Logging
import Service

extension Frontend {
  /// How long a stop waits for produce requests and responses, and for everything else, ms.
  private static var stopMsMax: Int64 { 3000 }
  private static var stopMsOthers: Int64 { 500 }
  /// How often those are looked at that wait for a sibling, ms.
  private static var overdueCheckMs: Int64 { 500 }

  // MARK: Idle clients

  func scheduleIdleCheck() {
    guard let idleMs = limits.idleMs else { return }
    schedule(.idleCheck, afterMs: max(1, idleMs), .idleCheck)
  }

  /// Closes connections without any progress for too long: idle ones, halves of frames, clients that
  /// do not read.
  func closeIdle() {
    timers.remove(.idleCheck)
    guard let idleMs = limits.idleMs else { return }
    let idleNs = UInt64(idleMs) * 1_000_000
    var oldestNs = loop.nowNs
    for connection in connections.all {
      noteLentProgress(connection)
      if loop.nowNs - min(connection.lastActivityNs, loop.nowNs) < idleNs {
        oldestNs = min(oldestNs, connection.lastActivityNs)
      } else if connection.buffer.isEmpty, connection.isQuiet {
        log.debug("closed \(connection.peer): idle")
        close(connection)
      } else {
        close(connection, .noProgress, "no progress for connections.max.idle.ms (\(idleMs))")
      }
    }
    guard connections.count > 0 else { return }
    let leftMs = Int64((oldestNs + idleNs - loop.nowNs) / 1_000_000)
    // Not for every single one: a second more is nothing to an idle connection.
    schedule(.idleCheck, afterMs: max(leftMs + 1, min(1000, idleMs)), .idleCheck)
  }

  /// A fetcher writes without telling until it is done.
  private func noteLentProgress(_ connection: Connection) {
    guard connection.lending.isLent,
      let acknowledged = try? TCPSocket.acknowledgedBytes(connection.socket),
      acknowledged != connection.writtenAtCheck
    else { return }
    connection.writtenAtCheck = acknowledged
    connection.lastActivityNs = loop.nowNs
  }

  // MARK: Requests that wait for a sibling

  func scheduleOverdueCheck() {
    schedule(.overdueCheck, afterMs: Self.overdueCheckMs, .overdueCheck)
  }

  func giveUpOverdue() {
    timers.remove(.overdueCheck)
    expireHeld()
    expireOpenings()
    let waitNs = UInt64(FrontendLimits.siblingWaitMs) * 1_000_000
    var waits =
      produce.queue.heldCount > 0 || (produce.openings.hasWaiting && codecs.open.isEmpty)
    let hasCoordinator = coordinatorLostNs == nil
    let hasFetcher = fetchers.choose() != nil
    for connection in connections.all {
      let awaitsCoordinator = connection.forwarded != nil && !hasCoordinator
      let awaitsFetcher =
        connection.lending.isStranded || (connection.isWaiting && connection.turn.isIdle)
      guard awaitsCoordinator || (awaitsFetcher && !hasFetcher) else { continue }
      if loop.nowNs - min(connection.lastActivityNs, loop.nowNs) > waitNs {
        close(
          connection, .noSibling,
          awaitsCoordinator ? "there is no coordinator" : "there is no fetcher")
      } else {
        waits = true
      }
    }
    if waits { scheduleOverdueCheck() }
  }

  // MARK: Memory

  func trimSlab() {
    timers.remove(.trim)
    do throws(Errno) { try pool.trim() } catch {
      log.event(.systemTrouble, "cannot free slab memory: \(error)")
    }
    if pool.hasExcess { schedule(.trim, afterMs: 1000, .trim) }
  }

  // MARK: Stop

  func beginStop() {
    isStopping = true
    unwatchListeners()
    for connection in connections.all { adjustInterest(connection) }
    loop.schedule(afterMs: Self.stopMsOthers, .stopOverdue(patient: true))
    loop.schedule(afterMs: Self.stopMsMax, .stopOverdue(patient: false))
  }

  func stopIfQuiet() {
    if connections.all.allSatisfy({ $0.turn.isIdle && $0.outgoing.isEmpty }) { loop.stop() }
  }

  /// - Parameter patient: produce requests and responses on their way still have time.
  func stopOverdue(patient: Bool) {
    let isBusy = connections.all.contains { $0.turn.produces > 0 || !$0.outgoing.isEmpty }
    if !patient || !isBusy { loop.stop() }
  }
}
