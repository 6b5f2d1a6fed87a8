// The end of a round for one connection: the responses that are complete go out in order, in one
// send, and then it is the turn of what waited for them.

import KafkaProtocol
import Linux
import Logging
import Model
import Service

extension Frontend {
  func finishRound(of connection: Connection) {
    connection.isMarked = false
    if connection.isClosed { return }
    if let reason = connection.closeReason {
      close(connection, .refusedBySibling, reason)
      return
    }
    do throws(Errno) { try send(connection) } catch {
      close(connection)
      return
    }
    if connection.isClosed { return }
    if connection.isWaiting, !isStopping { serve(connection) } else { adjustInterest(connection) }
    receiveInherited(connection)
    if connection.hasEnded, connection.isQuiet { close(connection) }
  }

  private func send(_ connection: Connection) throws(Errno) {
    writer.removeAll(keepingCapacity: writer.bytes.capacity <= Outgoing.unsentMax)
    guard collectProduced(connection) else { return }
    var sent = 0
    if !writer.bytes.isEmpty {
      sent += try writer.withUnsafeBytes { bytes throws(Errno) in
        try connection.outgoing.send(bytes, to: connection.socket)
      }
    } else if connection.response == nil {
      sent += try connection.outgoing.flush(to: connection.socket)
    }
    if let response = connection.response {
      connection.response = nil
      connection.turn.isAwaitingResponse = false
      sent += try response.withRawBytes { bytes throws(Errno) in
        try connection.outgoing.send(bytes, to: connection.socket)
      }
    }
    if sent > 0 {
      connection.lending.wrote(sent)
      counters.bytesOut += UInt64(sent)
      connection.bytesOut += UInt64(sent)
      connection.lastActivityNs = loop.nowNs
    }
  }

  /// Writes the replies of the oldest produce requests, up to the first that is not answered.
  /// - Returns: false when that closed the connection.
  private func collectProduced(_ connection: Connection) -> Bool {
    while connection.firstProduce >= 0, produce.isAnswered(connection.firstProduce) {
      let number = connection.firstProduce
      let request = produce.requests[number]
      connection.firstProduce = request.next
      if request.next < 0 { connection.lastProduce = -1 }
      connection.turn.produces -= 1
      connection.turn.produceBytes -= request.frameCount
      let error = request.acks == 0 ? produce.firstError(number) : nil
      if request.acks != 0 { produce.writeReply(number, to: &writer) }
      finishProduced(number)
      if let error {
        // Kafka's way to tell a producer that does not wait for responses.
        close(
          connection, .failedWithoutAcks, "a produce request with acks=0 failed (\(error))",
          metadata: ["errorCode": "\(error)"])
        return false
      }
    }
    return true
  }
}
