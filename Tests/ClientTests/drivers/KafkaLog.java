// Kafka's own code on the files of a log: reads what Sluice wrote, and writes what Sluice is to read.
//
//   KafkaLog read DIRECTORY           every .log of a partition, batch by batch and record by record
//   KafkaLog write FILE FIRST_OFFSET ROUND  batches of every codec, idempotent, a transaction that is
//                                     committed and one that is aborted; ROUND counts calls for one log
//   KafkaLog play SCRIPT              what the lines of a file say, all with tabs between their fields:
//                                     FILE OFFSET PRODUCER SEQUENCE CODEC: three records, of a
//                                     transaction unless the producer is -1;
//                                     FILE OFFSET PRODUCER COMMIT|ABORT: the end of one
//
// Kafka's server archives are not to be had here: this is the part of its storage that the client
// archive has, FileRecords and what is below it. Lines have tabs between their fields.

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.FileRecords;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.SimpleRecord;
import org.apache.kafka.common.record.TimestampType;

public class KafkaLog {
  public static void main(String[] arguments) throws Exception {
    switch (arguments[0]) {
      case "read" -> read(new File(arguments[1]));
      case "write" -> write(new File(arguments[1]), Long.parseLong(arguments[2]),
          Integer.parseInt(arguments[3]));
      case "play" -> play(new File(arguments[1]));
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  static void read(File directory) throws Exception {
    File[] files = directory.listFiles((parent, name) -> name.endsWith(".log"));
    Arrays.sort(files);
    for (File file : files) {
      try (FileRecords records = FileRecords.open(file, false)) {
        int position = 0;
        for (var batch : records.batches()) {
          position += batch.sizeInBytes();
          show(batch);
        }
        // Kafka's reader stops where it finds no whole batch.
        System.out.println("end\t" + file.getName() + "\t" + position + "\t" + file.length());
      }
    }
  }

  static void show(RecordBatch batch) {
    batch.ensureValid();
    System.out.println(String.join("\t", "batch", "" + batch.baseOffset(), "" + batch.lastOffset(),
        "" + batch.countOrNull(), batch.compressionType().name, "" + batch.maxTimestamp(),
        "" + batch.producerId(), "" + batch.baseSequence(), "" + batch.isTransactional(),
        "" + batch.isControlBatch(), "" + batch.partitionLeaderEpoch()));
    int count = 0;
    for (Record record : batch) {
      record.ensureValid();
      count++;
      if (batch.isControlBatch()) {
        System.out.println("control\t" + record.offset() + "\t"
            + ControlRecordType.parse(record.key()));
        continue;
      }
      System.out.println(String.join("\t", "record", "" + record.offset(),
          "" + record.timestamp(), hex(record.key()), hex(record.value()),
          "" + record.headers().length));
    }
    if (batch.countOrNull() != count) {
      throw new IllegalStateException(count + " records instead of " + batch.countOrNull());
    }
  }

  static String hex(ByteBuffer buffer) {
    if (buffer == null) {
      return "-";
    }
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  static void write(File file, long first, int round) throws Exception {
    try (FileRecords log = FileRecords.open(file, true)) {
      long offset = first;
      int sequence = 3 * CompressionType.values().length * round;
      for (CompressionType type : CompressionType.values()) {
        log.append(batch(type, offset, -1, -1, false));
        log.append(batch(type, offset + 3, 7, sequence, false));
        offset += 6;
        sequence += 3;
      }
      log.append(batch(CompressionType.NONE, offset, 8, 3 * round, true));
      log.append(batch(CompressionType.LZ4, offset + 3, 9, 3 * round, true));
      log.append(marker(offset + 6, 9, ControlRecordType.ABORT));
      log.append(marker(offset + 7, 8, ControlRecordType.COMMIT));
      log.flush();
    }
  }

  static void play(File script) throws Exception {
    for (String line : Files.readAllLines(script.toPath())) {
      String[] fields = line.split("\t");
      long offset = Long.parseLong(fields[1]);
      long producerId = Long.parseLong(fields[2]);
      try (FileRecords log = FileRecords.open(new File(fields[0]), true)) {
        log.append(fields.length == 4
            ? marker(offset, producerId, ControlRecordType.valueOf(fields[3]))
            : batch(CompressionType.forName(fields[4]), offset, producerId,
                Integer.parseInt(fields[3]), producerId >= 0));
      }
    }
  }

  static MemoryRecords marker(long offset, long producerId, ControlRecordType type) {
    return MemoryRecords.withEndTransactionMarker(offset, 1_700_000_000_000L + offset, 0, producerId,
        (short) 0, new EndTransactionMarker(type, 0));
  }

  static MemoryRecords batch(CompressionType type, long offset, long producerId, int sequence,
      boolean isTransactional) {
    MemoryRecordsBuilder builder = new MemoryRecordsBuilder(
        ByteBuffer.allocate(1 << 12), RecordBatch.MAGIC_VALUE_V2, Compression.of(type).build(),
        TimestampType.CREATE_TIME, offset, RecordBatch.NO_TIMESTAMP, producerId,
        producerId < 0 ? RecordBatch.NO_PRODUCER_EPOCH : (short) 0, sequence, isTransactional,
        false, 0, 1 << 12);
    for (int number = 0; number < 3; number++) {
      byte[] value = ("value " + (offset + number)).getBytes(StandardCharsets.UTF_8);
      builder.append(new SimpleRecord(1_700_000_000_000L + offset + number,
          ("key " + number).getBytes(StandardCharsets.UTF_8), value));
    }
    return builder.build();
  }
}
