// The seam between the coordinator and the place where metadata lasts: a small tree of versioned
// nodes, as Apache ZooKeeper has it. `SQLiteStore` implements it for a single broker.
//
// A commit is all or nothing, and is durable when its completion runs. A store may run completions
// and watches at once or later, but always on the caller's thread. Only `MetadataLog` calls this.

/// A place in the tree: `/topics/orders`. Names between slashes are never empty.
typealias NodePath = String

/// A node as it is stored.
struct StoredNode: Equatable {
  var path: NodePath
  var value: [UInt8]
  /// 0 when it is created, one more with every change.
  var version: Int64
  /// The session that the node dies with, or nil for a lasting node.
  var owner: StoreSession?
}

/// A session of a store: its ephemeral nodes live as long as it does.
struct StoreSession: Hashable {
  var id: Int64
}

/// One step of a commit.
enum NodeChange: Equatable {
  /// Fails when the node exists.
  case create(NodePath, [UInt8])
  /// As `create`; the node is gone when the session of this store ends.
  case createEphemeral(NodePath, [UInt8])
  /// Fails when the node has another version.
  case set(NodePath, [UInt8], version: Int64)
  /// Fails when the node has another version; a node that was not there has none.
  case delete(NodePath, version: Int64)

  var path: NodePath {
    switch self {
    case .create(let path, _), .createEphemeral(let path, _), .set(let path, _, _),
      .delete(let path, _):
      path
    }
  }
}

enum StoreError: Error, Equatable, CustomStringConvertible {
  /// The node is not in the state that the change named: someone else was faster.
  case conflict(NodePath)
  /// The store cannot be used: which operation failed, and what it said.
  case unavailable(operation: String, reason: String)

  var description: String {
    switch self {
    case .conflict(let path): "the node \(path) has changed meanwhile"
    case .unavailable(let operation, let reason): "metadata store: \(operation): \(reason)"
    }
  }
}

/// What a watch is told: the path that changed, for the caller to read anew.
typealias WatchHandler = (NodePath) -> Void

/// A watch that can be ended.
struct WatchID: Hashable {
  var number: UInt64
}

protocol MetadataStore: AnyObject {
  /// The session of this opening of the store.
  var session: StoreSession { get }
  func node(_ path: NodePath) throws(StoreError) -> StoredNode?
  /// The nodes right below `path`, in order of their paths.
  func children(of path: NodePath) throws(StoreError) -> [StoredNode]
  /// Makes all changes or none.
  func commit(_ changes: [NodeChange], then: (Result<Void, StoreError>) -> Void)
  /// Calls `handler` after each commit that changed `path` or a node right below it.
  func watch(_ path: NodePath, _ handler: @escaping WatchHandler) -> WatchID
  func unwatch(_ watch: WatchID)
  /// Ends the session. Its ephemeral nodes are gone.
  func close() throws(StoreError)
}

enum NodePaths {
  /// The path one level up; `/` for the top level.
  static func parent(of path: NodePath) -> NodePath {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }

  /// The last name of the path.
  static func name(of path: NodePath) -> String {
    guard let slash = path.lastIndex(of: "/") else { return path }
    return String(path[path.index(after: slash)...])
  }
}
