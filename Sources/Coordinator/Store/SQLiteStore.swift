// The embedded metadata store: the tree of nodes in one SQLite file, `sluice.db` in
// `metadata.log.dir` or, without it, in the first of `log.dirs`, where a directory of its own would
// keep Kafka from starting.
//
//   nodes(path primary key, parent, value, version, session)
//
// A commit is one SQLite transaction. The write-ahead log is synced with every commit
// (synchronous=FULL), so what was committed survives the loss of power; after a crash SQLite takes
// up whole commits from the write-ahead log and drops half ones. The file is locked exclusively:
// a second coordinator on the same directory does not start. Ephemeral nodes of earlier sessions
// are removed when the store is opened.

import Linux

final class SQLiteStore: MetadataStore {
  private let connection: SQLiteConnection
  private let selectNode: SQLiteStatement
  private let selectChildren: SQLiteStatement
  private let insert: SQLiteStatement
  private let update: SQLiteStatement
  private let remove: SQLiteStatement
  private let removeEphemeral: SQLiteStatement
  private var watches: [WatchID: (path: NodePath, handler: WatchHandler)] = [:]
  private var nextWatch: UInt64 = 0
  let session: StoreSession

  private static let schema = """
    CREATE TABLE IF NOT EXISTS nodes (
      path TEXT PRIMARY KEY, parent TEXT NOT NULL, value BLOB NOT NULL,
      version INTEGER NOT NULL, session INTEGER) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS nodes_parent ON nodes (parent, path);
    """

  /// Opens or creates the store in `directory`, which is created if need be.
  init(directory: String) throws(StoreError) {
    do { try Self.makeDirectories(directory) } catch {
      throw .unavailable(operation: "mkdir \(directory)", reason: "\(error)")
    }
    connection = try SQLiteConnection(path: "\(directory)/sluice.db")
    // Exclusive before the first access: then the write-ahead log needs no shared memory file.
    try connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    try connection.execute("PRAGMA journal_mode=WAL")
    try connection.execute("PRAGMA synchronous=FULL")
    try connection.execute("PRAGMA cache_size=-512")
    try connection.execute(Self.schema)
    selectNode = try connection.prepare(
      "SELECT path, value, version, session FROM nodes WHERE path = ?1")
    selectChildren = try connection.prepare(
      "SELECT path, value, version, session FROM nodes WHERE parent = ?1 ORDER BY path")
    insert = try connection.prepare(
      "INSERT INTO nodes (path, parent, value, version, session) VALUES (?1, ?2, ?3, 0, ?4)")
    update = try connection.prepare(
      "UPDATE nodes SET value = ?2, version = version + 1 WHERE path = ?1 AND version = ?3")
    remove = try connection.prepare("DELETE FROM nodes WHERE path = ?1 AND version = ?2")
    removeEphemeral = try connection.prepare("DELETE FROM nodes WHERE session IS NOT NULL")
    session = StoreSession(id: Int64.random(in: 1 ... .max))
    try removeEphemeral.run()
  }

  func node(_ path: NodePath) throws(StoreError) -> StoredNode? {
    var found: StoredNode?
    selectNode.bind(1, path)
    try selectNode.run { found = Self.node($0) }
    return found
  }

  func children(of path: NodePath) throws(StoreError) -> [StoredNode] {
    var found: [StoredNode] = []
    selectChildren.bind(1, path)
    try selectChildren.run { found.append(Self.node($0)) }
    return found
  }

  func commit(_ changes: [NodeChange], then: (Result<Void, StoreError>) -> Void) {
    do throws(StoreError) {
      try connection.execute("BEGIN IMMEDIATE")
      do throws(StoreError) {
        for change in changes { try make(change) }
        try connection.execute("COMMIT")
      } catch {
        // Some failures of a COMMIT have rolled back already.
        if connection.isInTransaction { try connection.execute("ROLLBACK") }
        throw error
      }
    } catch {
      then(.failure(error))
      return
    }
    then(.success(()))
    tellWatches(changes)
  }

  func watch(_ path: NodePath, _ handler: @escaping WatchHandler) -> WatchID {
    nextWatch += 1
    let watch = WatchID(number: nextWatch)
    watches[watch] = (path, handler)
    return watch
  }

  func unwatch(_ watch: WatchID) { watches[watch] = nil }

  func close() throws(StoreError) { try removeEphemeral.run() }

  private func make(_ change: NodeChange) throws(StoreError) {
    switch change {
    case .create(let path, let value):
      insert.bindNull(4)
      try create(path, value)
    case .createEphemeral(let path, let value):
      insert.bind(4, session.id)
      try create(path, value)
    case .set(let path, let value, let version):
      update.bind(1, path)
      update.bind(2, value)
      update.bind(3, version)
      try update.run()
      if connection.changedRows != 1 { throw .conflict(path) }
    case .delete(let path, let version):
      remove.bind(1, path)
      remove.bind(2, version)
      try remove.run()
      if connection.changedRows != 1 { throw .conflict(path) }
    }
  }

  private func create(_ path: NodePath, _ value: [UInt8]) throws(StoreError) {
    insert.bind(1, path)
    insert.bind(2, NodePaths.parent(of: path))
    insert.bind(3, value)
    if try !insert.run() { throw .conflict(path) }
  }

  private func tellWatches(_ changes: [NodeChange]) {
    if watches.isEmpty { return }
    for change in changes {
      let parent = NodePaths.parent(of: change.path)
      for (path, handler) in watches.values where path == change.path || path == parent {
        handler(change.path)
      }
    }
  }

  private static func node(_ row: SQLiteStatement) -> StoredNode {
    StoredNode(
      path: row.text(0), value: row.bytes(1), version: row.integer(2),
      owner: row.isNull(3) ? nil : StoreSession(id: row.integer(3)))
  }

  private static func makeDirectories(_ path: String) throws(Errno) {
    var end = path.index(after: path.startIndex)
    while let slash = path[end...].firstIndex(of: "/") {
      try File.makeDirectory(String(path[..<slash]))
      end = path.index(after: slash)
    }
    try File.makeDirectory(path)
  }
}
