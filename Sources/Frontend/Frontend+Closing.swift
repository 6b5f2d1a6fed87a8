// Connections that end, with the reason where it is not the client's own wish.

import IPC
import Linux
import Logging
import Service

extension Frontend {
  /// Closes a connection that broke a rule, and says which.
  func close(_ connection: Connection, _ rule: ClosingRule, _ reason: String) {
    if connection.isClosed { return }
    counters.refused += 1
    note(rule, peer: connection.peer, "closed \(connection.peer): \(reason)")
    close(connection)
  }

  /// Closes a connection because of its first bytes.
  func refuseBytes(_ connection: Connection, _ size: Int32) {
    let bytes = UnsafeRawBufferPointer(
      start: pool.base + connection.buffer.start, count: min(connection.buffer.count, 16))
    let why = InvalidReceive(size: size, sizeMax: limits.requestMaxBytes, bytes: bytes)
    close(connection, .invalidReceive, why.description)
  }

  func close(_ connection: Connection) {
    if connection.isClosed { return }
    connection.isClosed = true
    connection.buffer.discard(&pool)
    orphanProduced(connection)
    endForwarding(connection)
    if let index = connection.lending.fetcher { fetchers[index].connectionCount -= 1 }
    if let index = connection.lending.fetcherToTell {
      // The fetcher has the socket too, so closing ours would not end it.
      Socket.shutdownBoth(connection.socket)
      fetchers[index].link.send(.forget(connection: connection.number))
    }
    if let watch = connection.watch {
      connection.watch = nil
      do throws(Errno) { try loop.unwatch(watch) } catch { fail(ServiceFailure(error)) }
    }
    connections.remove(connection)
  }

  /// A warning that clients can cause: at most one a second of each rule.
  func note(
    _ rule: ClosingRule, peer: @autoclosure () -> String? = nil, _ line: @autoclosure () -> String
  ) {
    guard let suppressed = logLimiter.admit(rule, nowNs: loop.nowNs) else {
      schedule(.suppressedLines, afterMs: LogLimiter.windowMs, .suppressedLines)
      return
    }
    var metadata: Logger.Metadata = ["rule": "\(rule)"]
    if let peer = peer() { metadata["peer"] = "\(peer)" }
    log.event(
      .clientRefused, "\(line())\(suppressed > 0 ? " (and \(suppressed) more like this)" : "")",
      metadata: metadata)
  }

  func tellSuppressed() {
    timers.remove(.suppressedLines)
    defer {
      if logLimiter.hasSuppressed {
        schedule(.suppressedLines, afterMs: LogLimiter.windowMs, .suppressedLines)
      }
    }
    for (rule, count) in logLimiter.takeSuppressed(nowNs: loop.nowNs) {
      log.event(
        .clientRefused, "\(count) more: \(rule.rawValue)", metadata: ["rule": "\(rule)"])
    }
  }
}
