// A client's bytes: received into the slab, framed, and each frame begun when its turn has come.

import DequeModule
import KafkaProtocol
import Linux
import Service

extension Frontend {
  func clientReady(_ slot: UInt32, _ readiness: Readiness) {
    guard let connection = connections.at(slot) else { return }
    if readiness.contains(.writable) {
      connection.lastActivityNs = loop.nowNs
      mark(connection)
    }
    // Both directions are over: nothing can be received or sent any more.
    if !readiness.isDisjoint(with: [.error, .hangUp]), !readiness.contains(.readable) {
      close(connection)
      return
    }
    if !readiness.isDisjoint(with: [.readable, .hangUp, .error]),
      connection.interest.contains(.readable)
    {
      receive(connection)
    }
  }

  private func receive(_ connection: Connection) {
    // What is left belongs to frames that have begun.
    let isShort = connection.buffer.isEmpty && pool.freeBytes < pool.size / 8
    guard !isShort, let space = connection.buffer.space(&pool) else {
      starve(connection)
      return
    }
    let target = UnsafeMutableRawBufferPointer(start: pool.base + space.offset, count: space.count)
    if !connection.inherited.isEmpty {
      connection.buffer.received(connection.inherited.receive(into: target), &pool)
      serve(connection)
      return
    }
    do throws(Errno) {
      switch try TCPSocket.receive(connection.socket, into: target) {
      case .wouldBlock: settle(connection)
      case .bytes(0): ended(connection)
      case .bytes(let count):
        connection.lastActivityNs = loop.nowNs
        counters.bytesIn += UInt64(count)
        connection.bytesIn += UInt64(count)
        connection.buffer.received(count, &pool)
        serve(connection)
      }
    } catch { close(connection) }
  }

  /// Goes on with bytes that the process before had received: no event of the socket tells of them.
  func receiveInherited(_ connection: Connection) {
    guard !connection.inherited.isEmpty, !connection.isClosed,
      connection.interest.contains(.readable)
    else { return }
    receive(connection)
    if !connection.inherited.isEmpty { mark(connection) }
  }

  /// The client will send nothing more; what it asked for already is answered.
  private func ended(_ connection: Connection) {
    connection.hasEnded = true
    if !connection.isWaiting { connection.buffer.discard(&pool) }
    adjustInterest(connection)
    mark(connection)
  }

  /// Begins the frames that are there, as far as their turn has come.
  func serve(_ connection: Connection) {
    connection.isWaiting = false
    while !connection.isClosed, !isStopping {
      switch connection.buffer.next(sizeMax: limits.requestMaxBytes, pool) {
      case .partial:
        settle(connection)
        return
      case .invalid(let size):
        refuseBytes(connection, size)
        return
      case .frame(let offset, let count):
        guard begin(connection, offset, count) else {
          connection.isWaiting = !connection.isClosed
          settle(connection)
          return
        }
        counters.requests += 1
        connection.requests += 1
        connection.buffer.consume(frameOf: count)
      }
    }
    settle(connection)
  }

  /// - Returns: false when the frame must wait, or its connection was closed.
  private func begin(_ connection: Connection, _ offset: Int, _ count: Int) -> Bool {
    let frame = UnsafeRawBufferPointer(start: pool.base + offset, count: count)
    let head: RequestHead
    do throws(WireError) { head = try RequestHead(readingFrame: frame.bytes) } catch {
      if error.rule == .unknownApiKey {
        let key = Int16(bigEndian: frame.loadUnaligned(as: Int16.self))
        close(connection, .notServed, "there is no API with the key \(key)")
      } else {
        close(connection, .unreadable, "a request header cannot be read (\(error))")
      }
      return false
    }
    if connection.clientId == nil, let clientId = head.clientId {
      connection.clientId = WireSlice(
        offset: clientId.offset, count: min(clientId.count, Connection.clientIdMax)
      ).string(in: frame.bytes)
    }
    let kind = RequestKind(head.apiKey)
    guard
      kind == .local || ServedApis.serves(head.apiKey, version: head.apiVersion)
    else {
      close(connection, .notServed, "\(head.apiKey) version \(head.apiVersion) is not served")
      return false
    }
    guard
      connection.turn.mayBegin(kind, frameBytes: count, unsentBytes: connection.outgoing.count)
    else { return false }
    switch kind {
    case .produce: return beginProduce(connection, head, offset, count)
    case .fetch: return beginFetch(connection, frame)
    case .coordinator: return beginForwarding(connection, frame)
    case .local: return answerApiVersions(connection, head, frame)
    }
  }

  private func answerApiVersions(
    _ connection: Connection, _ head: RequestHead, _ frame: UnsafeRawBufferPointer
  ) -> Bool {
    do throws(WireError) {
      connection.response = try ApiVersionsReply.frame(for: head, request: frame)
    } catch {
      close(connection, .unreadable, "an ApiVersions request cannot be read (\(error))")
      return false
    }
    connection.turn.isAwaitingResponse = true
    mark(connection)
    return true
  }

  /// Finds what is left of the received bytes its place, and decides whether to go on reading.
  func settle(_ connection: Connection) {
    if connection.isClosed { return }
    if connection.hasEnded, !connection.isWaiting { connection.buffer.discard(&pool) }
    if let copied = connection.buffer.settle(isWaiting: connection.isWaiting, &pool) {
      counters.bytesCopied += UInt64(copied)
      adjustInterest(connection)
    } else {
      starve(connection)
    }
  }

  /// Reads on only when there is memory and the client's turn, so that whoever sends too much waits
  /// in its own socket.
  func adjustInterest(_ connection: Connection) {
    var interest: Readiness = []
    if !connection.hasEnded, !connection.isWaiting, !connection.isStarved, !isStopping,
      connection.outgoing.count <= Outgoing.unsentMax
    {
      interest.insert(.readable)
    }
    if !connection.outgoing.isEmpty { interest.insert(.writable) }
    guard interest != connection.interest, let watch = connection.watch else { return }
    connection.interest = interest
    do { try loop.change(watch, interest) } catch { close(connection, .system, "\(error)") }
  }
}
