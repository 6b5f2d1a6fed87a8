// SQLite: the embedded metadata store.
#include <sqlite3.h>
