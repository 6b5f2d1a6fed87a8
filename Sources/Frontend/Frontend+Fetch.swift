// Fetch requests: handed to the connection's fetcher with the right to write to its socket.

import Glibc
import IPC
import Linux
import Logging
import Service

extension Frontend {
  /// - Returns: false when there is no fetcher to begin with now, or when the request is too large
  ///   to hand over: its connection is closed.
  func beginFetch(_ connection: Connection, _ frame: UnsafeRawBufferPointer) -> Bool {
    guard frame.count <= Self.handedOverMax else {
      close(connection, .requestSize, "a Fetch request of \(frame.count) bytes")
      return false
    }
    guard leaveDraining(connection) else { return false }
    if connection.lending.fetcher == nil {
      let preferred = connection.lending.preferredInstance
      guard let chosen = fetchers.choose(preferring: preferred) else {
        scheduleOverdueCheck()
        return false
      }
      connection.lending.assign(chosen)
      connection.lending.preferredInstance = fetchers[chosen].instance
      fetchers[chosen].connectionCount += 1
    }
    let bytes = [UInt8](frame)
    let carriesSocket = connection.lending.begin(bytes)
    connection.turn.fetches += 1
    connection.turn.fetchBytes += bytes.count
    counters.fetchesLent += 1
    lend(connection, bytes, carriesSocket)
    return true
  }

  private func lend(_ connection: Connection, _ frame: [UInt8], _ carriesSocket: Bool) {
    guard let index = connection.lending.fetcher else { return }
    // If the link is lost now, its next event says so, and the fetch goes to another fetcher.
    fetchers[index].link.send(
      .fetch(
        LentFetch(
          connection: connection.number, carriesSocket: carriesSocket, peer: connection.peer,
          frame: frame)),
      descriptors: carriesSocket ? [connection.socket.rawValue] : [])
  }

  /// Takes the connection from a fetcher that is about to stop, once that has answered everything.
  /// - Returns: false while it has not.
  private func leaveDraining(_ connection: Connection) -> Bool {
    guard let index = connection.lending.fetcher, fetchers[index].isDraining else { return true }
    guard !connection.lending.isLent else { return false }
    fetchers[index].connectionCount -= 1
    if let known = connection.lending.leave() {
      fetchers[known].link.send(.forget(connection: connection.number))
    }
    return true
  }

  // MARK: The links

  func watchRuntimeDirectory() throws(Errno) {
    let directory = try DirectoryWatch(environment.runtimeDirectory)
    let descriptor = directory.descriptor.rawValue
    directoryWatch = consume directory
    _ = try loop.watch(descriptor, .readable, .runtimeDirectory)
    runtimeDirectoryChanged()
  }

  func runtimeDirectoryChanged() {
    do throws(Errno) {
      try directoryWatch?.drain()
      for index in try fetchers.refresh(loop: loop) { openFetcher(index) }
      try codecs.refresh(loop: loop)
    } catch { log.event(.systemTrouble, "cannot look for fetchers and codecs: \(error)") }
  }

  func openFetcher(_ index: Int) {
    let fetcher = fetchers[index]
    if let error = fetcher.link.open() {
      guard error.code == ENOENT else { return }
      // Its socket is gone; the directory tells when it is back.
      fetcher.link.close()
      fetcher.isAbsent = true
      return
    }
    fetcher.isDraining = false
    resumeFetches()
  }

  func fetcherReady(_ index: Int, _ readiness: Readiness) {
    let fetcher = fetchers[index]
    do throws(ChannelError) {
      try fetcher.link.ready(readiness) { message, _ throws(MessageError) in
        switch message {
        case .served(let number, let bytes): try self.served(index, number, bytes)
        case .refused(let number, let reason):
          guard let connection = self.connections[number] else { return }
          connection.closeReason = reason
          self.mark(connection)
        case .draining: fetcher.isDraining = true
        case .returned(let socket): try self.returned(index, socket)
        }
      }
    } catch { fetcherLost(index, error) }
  }

  private func served(_ index: Int, _ number: UInt64, _ bytes: UInt64) throws(MessageError) {
    guard let connection = connections[number] else { return }
    guard connection.lending.fetcher == index, let frameBytes = connection.lending.served(bytes)
    else { throw MessageError("served without a fetch under way") }
    counters.bytesOut += bytes
    connection.bytesOut += bytes
    connection.turn.fetches -= 1
    connection.turn.fetchBytes -= frameBytes
    connection.lastActivityNs = loop.nowNs
    if connection.isWaiting || connection.hasEnded { mark(connection) }
  }

  /// What was asked for with `giveBack`: the unanswered fetches are served by the next process.
  private func returned(_ index: Int, _ socket: ReturnedSocket) throws(MessageError) {
    guard let connection = connections[socket.connection] else { return }
    guard handOver != nil, connection.lending.fetcher == index,
      let frameBytes = connection.lending.returned(socket)
    else { throw MessageError("returned what was not lent") }
    fetchers[index].connectionCount -= 1
    if frameBytes > 0 {
      counters.bytesOut += socket.sent
      connection.bytesOut += socket.sent
      connection.turn.fetches -= 1
      connection.turn.fetchBytes -= frameBytes
      connection.outgoing.append(socket.rest)
      mark(connection)
    }
  }

  private func fetcherLost(_ index: Int, _ error: ChannelError) {
    let fetcher = fetchers[index]
    fetcher.connectionCount = 0
    var reassigned = 0
    var torn = 0
    for connection in connections.all where connection.lending.fetcher == index {
      let written = try? TCPSocket.writtenBytes(connection.socket)
      switch connection.lending.lost(writtenBytes: written, lossesMax: Self.lossesMax) {
      case .nothing: break
      case .reassign: reassigned += 1
      case .torn:
        torn += 1
        close(connection)
      case .exhausted:
        close(
          connection, .refusedBySibling,
          "\(Self.lossesMax) fetchers died while they had its fetches")
      }
    }
    if !isStopping {
      log.event(
        .siblingLost,
        "fetcher \(fetcher.instance) is gone (\(error)); \(reassigned) connections go to another, \(torn) had part of a response and are closed",
        metadata: ["@sibling": "fetcher", "@siblingInstance": "\(fetcher.instance)"])
    }
    resumeFetches()
  }

  /// Gives stranded fetches to a fetcher, and lets those begin that wait for one.
  private func resumeFetches() {
    // The next process has a fetcher of its own for them.
    if handOver != nil { return }
    for connection in connections.all {
      if connection.lending.isStranded {
        guard let chosen = fetchers.choose() else {
          scheduleOverdueCheck()
          return
        }
        connection.lending.assign(chosen)
        fetchers[chosen].connectionCount += 1
        for (frame, carriesSocket) in connection.lending.resume() {
          lend(connection, frame, carriesSocket)
        }
      }
      if connection.isWaiting { mark(connection) }
    }
  }
}
