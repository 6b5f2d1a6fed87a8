// A response on its way into a client's socket: bytes of our own and, between them, parts of
// segments that the kernel copies. How far it got is all that is kept while the client is slow.

import KafkaProtocol
import Linux

struct Outgoing {
  enum Progress: Equatable {
    case done
    /// The socket is full: go on when it is writable.
    case blocked
    /// Enough for one turn: others wait too.
    case paused
    /// What comes next is on the disk and not in memory: go on when `coldPiece` has been read.
    case cold
    /// A segment is shorter than it was: the response cannot be finished.
    case cut
  }

  /// Bytes that one client may send in one turn.
  static let turnMax = 8 << 20
  /// The same, while the file is read from the disk: its bytes are new to the processor's caches, and
  /// those who follow the ends of their logs are not to wait for them.
  static let coldTurnMax = 256 << 10
  /// Windows after which a file that is in memory is not thought cold any more.
  private static let coldnessMax = 64
  /// The page cache is asked about so many bytes at a time.
  static let windowMax = 1 << 20

  private let bytes: [UInt8]
  private let gaps: [WireGap]
  private let pieces: [FilePiece]
  /// Next byte of `bytes` to be sent.
  private var position = 0
  private var nextPiece = 0
  /// Bytes of the next piece that are sent.
  private var sentOfPiece = 0
  /// Bytes of the next piece that were in the page cache when it was asked.
  private var warmOfPiece = 0
  /// Between the first and the last piece of a segment the socket is corked: sendfile(2) cannot say
  /// that more follows, and a small packet for what does costs as much as a large one. By then bytes
  /// of the response are in the socket, so nobody else ever meets it corked.
  private var isCorked = false
  /// All bytes that are in the socket.
  private(set) var sent: UInt64 = 0

  init(_ response: (bytes: [UInt8], gaps: [WireGap], pieces: [FilePiece])) {
    precondition(response.gaps.count == response.pieces.count, "a gap without its piece")
    bytes = response.bytes
    gaps = response.gaps
    pieces = response.pieces
  }

  /// Sends as much as the socket takes in one turn.
  mutating func send(to socket: borrowing OwnedFD) throws(Errno) -> Progress {
    let turnMax = isCold ? Self.coldTurnMax : Self.turnMax
    let turnEnd = sent + UInt64(turnMax)
    while true {
      if sent >= turnEnd { return .paused }
      let limit = nextPiece < gaps.count ? gaps[nextPiece].position : bytes.count
      if position == limit, nextPiece < pieces.count, try !isWarm() { return .cold }
      let transfer: Transfer
      if position < limit {
        transfer = try sendBytes(to: socket, upTo: limit)
      } else if nextPiece < pieces.count {
        transfer = try sendPiece(to: socket, upTo: turnMax)
      } else {
        if isCorked { try TCPSocket.setCork(socket, false) }
        return .done
      }
      guard case .bytes(let count) = transfer else { return .blocked }
      if count == 0 { return .cut }
    }
  }

  /// Bytes that are not in the socket.
  var unsentCount: Int {
    bytes.count - position - sentOfPiece
      + pieces[nextPiece...].reduce(0) { $0 + $1.count }
  }

  /// Takes the bytes that are not in the socket, for someone else to send.
  /// - Returns: nil when a segment is shorter than it was.
  mutating func takeRest(from socket: borrowing OwnedFD) throws(Errno) -> [UInt8]? {
    var rest: [UInt8] = []
    rest.reserveCapacity(unsentCount)
    while position < bytes.count || nextPiece < pieces.count {
      let limit = nextPiece < gaps.count ? gaps[nextPiece].position : bytes.count
      rest.append(contentsOf: bytes[position..<limit])
      position = limit
      guard nextPiece < pieces.count else { break }
      let piece = pieces[nextPiece]
      let count = piece.count - sentOfPiece
      var read = [UInt8](repeating: 0, count: count)
      let got = try Self.read(piece.log, at: piece.position + Int64(sentOfPiece), into: &read)
      guard got == count else { return nil }
      rest.append(contentsOf: read)
      nextPiece += 1
      sentOfPiece = 0
    }
    if isCorked { try TCPSocket.setCork(socket, false) }
    isCorked = false
    return rest
  }

  private static func read(_ log: SharedDescriptor, at offset: Int64, into bytes: inout [UInt8])
    throws(Errno) -> Int
  {
    let result = bytes.withUnsafeMutableBytes { raw in
      Result { () throws(Errno) in try File.read(log.file, into: raw, at: offset) }
    }
    return try result.get()
  }

  private mutating func sendBytes(to socket: borrowing OwnedFD, upTo limit: Int) throws(Errno)
    -> Transfer
  {
    let start = position
    let more = nextPiece < pieces.count
    let transfer = try bytes.withRawBytes { raw throws(Errno) in
      try TCPSocket.send(
        socket, UnsafeRawBufferPointer(rebasing: raw[start..<limit]), more: more)
    }
    if case .bytes(let count) = transfer {
      position += count
      sent += UInt64(count)
    }
    return transfer
  }

  private mutating func sendPiece(to socket: borrowing OwnedFD, upTo max: Int) throws(Errno)
    -> Transfer
  {
    if !isCorked {
      try TCPSocket.setCork(socket, true)
      isCorked = true
    }
    let piece = pieces[nextPiece]
    let transfer = try TCPSocket.sendFile(
      socket, from: piece.log.file, offset: piece.position + Int64(sentOfPiece),
      count: min(warmOfPiece - sentOfPiece, max))
    if case .bytes(let count) = transfer {
      sentOfPiece += count
      sent += UInt64(count)
      if sentOfPiece == piece.count {
        nextPiece += 1
        sentOfPiece = 0
        warmOfPiece = 0
      }
    }
    return transfer
  }

  /// The bytes that `.cold` waits for.
  var coldPiece: FilePiece {
    let piece = pieces[nextPiece]
    return FilePiece(
      log: piece.log, position: piece.position + Int64(sentOfPiece),
      count: min(piece.count - sentOfPiece, Self.windowMax), isRecent: piece.isRecent)
  }

  /// `coldPiece` has been read. It is not asked about again: what the kernel has dropped meanwhile is
  /// waited for.
  mutating func warmed() { warmOfPiece = sentOfPiece + coldPiece.count }

  private var isCold: Bool { nextPiece < pieces.count && pieces[nextPiece].log.coldness > 0 }

  private mutating func isWarm() throws(Errno) -> Bool {
    if sentOfPiece < warmOfPiece { return true }
    let next = coldPiece
    // Of a file that has been in memory the ends of the window are asked about, of the end of a log
    // a byte; once something was not there, all of it more closely.
    let log = next.log
    let isSpared = next.isRecent && log.coldness == 0
    guard
      try File.isCached(
        log.file, at: next.position, count: isSpared ? 1 : next.count,
        stride: log.coldness > 0 ? File.readAheadBytes : next.count)
    else {
      log.coldness = Self.coldnessMax
      return false
    }
    if log.coldness > 0 { log.coldness -= 1 }
    warmOfPiece = isSpared ? pieces[nextPiece].count : sentOfPiece + next.count
    return true
  }
}
