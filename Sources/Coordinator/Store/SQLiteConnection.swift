// SQLite behind two small classes: a connection and its prepared statements. Every result code is
// looked at here; the texts of errors are SQLite's.

import CSQLite

/// One open database file, used by one thread.
final class SQLiteConnection {
  private let handle: OpaquePointer
  let path: String

  private static let lockPatienceMs: Int32 = 3000

  init(path: String) throws(StoreError) {
    var handle: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
    let result = sqlite3_open_v2(path, &handle, flags, nil)
    guard let handle else {
      throw .unavailable(operation: "open \(path)", reason: "out of memory")
    }
    self.handle = handle
    self.path = path
    if result != SQLITE_OK { throw failure("open") }
    // A coordinator that is on its way out gives its lock up within this time.
    sqlite3_busy_timeout(handle, Self.lockPatienceMs)
  }

  deinit { sqlite3_close_v2(handle) }

  /// Runs statements that give no rows.
  func execute(_ sql: String) throws(StoreError) {
    guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure(sql) }
  }

  func prepare(_ sql: String) throws(StoreError) -> SQLiteStatement {
    var statement: OpaquePointer?
    guard
      sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        == SQLITE_OK, let statement
    else { throw failure(sql) }
    return SQLiteStatement(statement, of: self, sql)
  }

  /// BEGIN was not followed by COMMIT or ROLLBACK yet.
  var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

  /// Rows that the last statement changed.
  var changedRows: Int { Int(sqlite3_changes(handle)) }

  func failure(_ operation: String) -> StoreError {
    .unavailable(
      operation: operation, reason: "\(String(cString: sqlite3_errmsg(handle))) (\(path))")
  }
}

/// A prepared statement, used again and again.
final class SQLiteStatement {
  private let statement: OpaquePointer
  private let connection: SQLiteConnection
  private let sql: String

  init(_ statement: OpaquePointer, of connection: SQLiteConnection, _ sql: String) {
    self.statement = statement
    self.connection = connection
    self.sql = sql
  }

  deinit { sqlite3_finalize(statement) }

  /// Sets parameter number `index`, from 1.
  func bind(_ index: Int32, _ text: String) {
    sqlite3_bind_text(statement, index, text, -1, Self.copied)
  }

  func bind(_ index: Int32, _ number: Int64) { sqlite3_bind_int64(statement, index, number) }

  func bind(_ index: Int32, _ bytes: [UInt8]) {
    // A null pointer would bind NULL: an empty value is zero bytes of blob.
    if bytes.isEmpty {
      sqlite3_bind_zeroblob(statement, index, 0)
    } else {
      sqlite3_bind_blob(statement, index, bytes, Int32(bytes.count), Self.copied)
    }
  }

  func bindNull(_ index: Int32) { sqlite3_bind_null(statement, index) }

  /// Runs the statement and calls `row` for every row it gives.
  /// - Returns: false when a constraint (a primary key) stood against it.
  @discardableResult
  func run(_ row: (SQLiteStatement) -> Void = { _ in }) throws(StoreError) -> Bool {
    defer {
      sqlite3_reset(statement)
      sqlite3_clear_bindings(statement)
    }
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW: row(self)
      case SQLITE_DONE: return true
      case SQLITE_CONSTRAINT: return false
      default: throw connection.failure(sql)
      }
    }
  }

  func text(_ column: Int32) -> String {
    guard let text = sqlite3_column_text(statement, column) else { return "" }
    return String(cString: text)
  }

  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

  func isNull(_ column: Int32) -> Bool {
    sqlite3_column_type(statement, column) == SQLITE_NULL
  }

  func bytes(_ column: Int32) -> [UInt8] {
    let count = Int(sqlite3_column_bytes(statement, column))
    guard count > 0, let blob = sqlite3_column_blob(statement, column) else { return [] }
    return [UInt8](UnsafeRawBufferPointer(start: blob, count: count))
  }

  /// SQLITE_TRANSIENT: SQLite copies what is bound.
  private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
}
