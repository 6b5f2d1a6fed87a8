// Connections that end, with the reason where it is not the client's own wish.

import IPC
import Linux
import Logging
import Service

extension Frontend {
  /// Closes a connection that broke a rule, and says which.
  /// - Parameter metadata: what the journal is told beside who it is.
  func close(
    _ connection: Connection, _ rule: ClosingRule, _ reason: String,
    metadata: @autoclosure () -> Logger.Metadata = [:]
  ) {
    if connection.isClosed { return }
    counters.refused += 1
    note(
      rule, "closed \(connection.peer): \(reason)",
      metadata: origin(of: connection).merging(metadata()) { $1 })
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

  /// A warning that clients can cause; `EventLimiter` keeps them from becoming a flood.
  func note(
    _ rule: ClosingRule, _ line: @autoclosure () -> String,
    metadata: @autoclosure () -> Logger.Metadata = [:]
  ) {
    log.event(.clientRefused, "\(line())", metadata: metadata(), group: rule.group)
  }

  /// Who a client is, for the journal.
  func origin(of connection: Connection) -> Logger.Metadata {
    var origin: Logger.Metadata = [
      "peer": "\(connection.peer)", "@listener": "\(listeners[connection.listener].name)",
    ]
    if let clientId = connection.clientId { origin["clientId"] = "\(clientId)" }
    return origin
  }
}
