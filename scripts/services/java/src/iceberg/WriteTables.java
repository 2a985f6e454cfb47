import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.IcebergBuild;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.PartitionKey;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.RowDelta;
import org.apache.iceberg.Schema;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.UpdatePartitionSpec;
import org.apache.iceberg.UpdateSchema;
import org.apache.iceberg.data.GenericAppenderFactory;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.InternalRecordWrapper;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.deletes.EqualityDeleteWriter;
import org.apache.iceberg.deletes.PositionDelete;
import org.apache.iceberg.deletes.PositionDeleteWriter;
import org.apache.iceberg.encryption.EncryptedFiles;
import org.apache.iceberg.encryption.EncryptedOutputFile;
import org.apache.iceberg.encryption.EncryptionKeyMetadata;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.expressions.Term;
import org.apache.iceberg.hadoop.HadoopTables;
import org.apache.iceberg.io.DataWriter;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/**
 * WriteTables DIRECTORY SEED FIRST COUNT: writes random v2 tables by Iceberg's generic writers, the same for the same seed
 * and number.
 *
 * <p>Prints a line a table: its number, the location of its metadata and what was done, separated by tabs. All types of
 * format version 2, nested ones too; NULL, NaN and extreme values; Parquet of several row groups, Avro, ORC; metrics modes;
 * schemas and partition specs that change; equality and position deletes, some in other formats than the data.
 */
public class WriteTables {
  private static final LocalDateTime EPOCH = LocalDateTime.of(1970, 1, 1, 0, 0);
  private static final String[] NAMES = {"a", "B", "with space", "Größe", "filename", "file_row_number", "x-y", "c0", "_row", "_seq"};
  private static final String[] TEXTS = {
    "", " ", "a", "aé", "az", "b", "it's", "\"q\"", "[/b]", "line\nbreak", "\u0000", "中文字符", "😀", "\uffff", "a".repeat(15), "a".repeat(16) + "b",
    "a".repeat(16) + "c", "zzzzzzzzzzzzzzzzzzzzz", "NULL", "\u00e9".repeat(20), "😀".repeat(17)
  };

  private final Random random;
  private final Table table;
  private final List<Written> files = new ArrayList<>();
  private final Map<Integer, List<Object>> pools = new HashMap<>();
  private final Set<Integer> pinned = new HashSet<>(); // sources of partitions and equality columns: never dropped
  private final List<String> steps = new ArrayList<>();
  private int names = 0;

  /** A data file that is live, what it holds, and where. */
  private record Written(String path, PartitionSpec spec, StructLike partition, List<Record> rows, DataFile file) {}

  public static void main(String[] args) throws IOException {
    for (int number = Integer.parseInt(args[2]), end = number + Integer.parseInt(args[3]); number < end; number++) {
      WriteTables writer = new WriteTables(args[0] + "/" + number, new Random(Long.parseLong(args[1]) * 1_000_003L + number));
      writer.write();
      System.out.println(
          number + "\t" + ((BaseTable) writer.table).operations().current().metadataFileLocation() + "\t" + String.join("; ", writer.steps));
    }
  }

  private WriteTables(String location, Random random) {
    this.random = random;
    Schema schema = schema();
    Map<String, String> properties = properties(schema);
    table = new HadoopTables(new Configuration()).create(schema, PartitionSpec.unpartitioned(), properties, location);
    steps.add("create " + table.schema().columns() + " " + properties);
    table.schema().columns().forEach(field -> pools.put(field.fieldId(), pool(field)));
    if (chance(60)) {
      changeSpec();
    }
    if (chance(20)) {
      table.replaceSortOrder().asc("k").commit();
      steps.add("sort by k");
    }
  }

  private void write() throws IOException {
    append();
    for (int i = 2 + random.nextInt(6); i > 0; i--) {
      switch (random.nextInt(12)) {
        case 0, 1, 2 -> append();
        case 3, 4, 5, 6 -> delete();
        case 7, 8 -> deletePositions();
        case 9 -> changeSchema();
        case 10 -> changeSpec();
        default -> changeFiles();
      }
    }
  }

  // ------------------------------------------------------------------------------------------------ steps

  private void append() throws IOException {
    var update = table.newAppend();
    int rows = 0;
    for (DataFile file : writeRows()) {
      update.appendFile(file);
      rows += file.recordCount();
    }
    update.commit();
    steps.add("append " + rows);
  }

  /** A checkpoint as Flink commits it: keys deleted, some rows added. */
  private void delete() throws IOException {
    List<Types.NestedField> columns = new ArrayList<>(table.schema().columns());
    columns.removeIf(field -> !isKey(field.type()));
    Collections.shuffle(columns, random);
    List<Types.NestedField> keys = columns.subList(0, Math.min(columns.size(), 1 + random.nextInt(2)));
    Schema schema = new Schema(keys);
    int[] ids = keys.stream().mapToInt(Types.NestedField::fieldId).toArray();
    RowDelta update = table.newRowDelta();
    List<Integer> counts = new ArrayList<>();
    for (StructLike partition : somePartitions()) {
      FileFormat format = format();
      GenericAppenderFactory appenders = new GenericAppenderFactory(table.schema(), table.spec(), ids, schema, null).setAll(table.properties());
      // Iceberg writes bounds of UUIDs in the order of bytes and compares them as two signed longs: by them it loses deletes.
      keys.stream().filter(key -> key.type().typeId() == Type.TypeID.UUID).forEach(key -> appenders.set("write.metadata.metrics.column." + key.name(), "counts"));
      EqualityDeleteWriter<Record> writer = appenders.newEqDeleteWriter(output(format, partition), format, partition);
      // Iceberg reads keys of these types into one buffer, and so keeps only the last of a file (apache/iceberg#11239).
      boolean buffered = keys.stream().anyMatch(key -> key.type().typeId() == Type.TypeID.BINARY || key.type().typeId() == Type.TypeID.FIXED);
      int count = buffered ? 1 : 1 + random.nextInt(6);
      try (writer) {
        for (int i = 0; i < count; i++) {
          Record key = GenericRecord.create(schema);
          Record like = row();
          for (Types.NestedField field : keys) {
            key.setField(field.name(), like.getField(field.name()));
          }
          writer.write(key);
        }
      }
      counts.add(count);
      update.addDeletes(writer.toDeleteFile());
    }
    keys.forEach(field -> pinned.add(field.fieldId()));
    if (chance(60)) {
      for (DataFile file : writeRows()) {
        update.addRows(file);
      }
    }
    update.commit();
    steps.add("delete by " + schema.columns() + " " + counts);
  }

  private void deletePositions() throws IOException {
    if (files.isEmpty()) {
      return;
    }
    RowDelta update = table.newRowDelta();
    Written chosen = files.get(random.nextInt(files.size()));
    List<Written> targets = new ArrayList<>();
    for (Written file : files) { // one delete file is of one spec and partition
      if (file == chosen || chance(50) && file.spec.specId() == chosen.spec.specId() && same(file.partition, chosen.partition)) {
        targets.add(file);
      }
    }
    targets.sort((a, b) -> a.path.compareTo(b.path));
    FileFormat format = format();
    GenericAppenderFactory factory = new GenericAppenderFactory(table.schema(), chosen.spec, null, null, null);
    PositionDeleteWriter<Record> writer =
        factory.setAll(table.properties()).newPosDeleteWriter(output(format, chosen.partition), format, chosen.partition);
    int count = 0;
    try (writer) {
      for (Written target : targets) {
        for (int position = 0; position < target.rows.size(); position++) {
          if (chance(30)) {
            writer.write(PositionDelete.<Record>create().set(target.path, position, null));
            count++;
          }
        }
      }
      if (count == 0) {
        writer.write(PositionDelete.<Record>create().set(chosen.path, 0, null));
      }
    }
    update.addDeletes(writer.toDeleteFile()).commit();
    steps.add("delete " + count + " positions in " + targets.size() + " files");
  }

  private void changeFiles() {
    if (files.size() > 1 && chance(50)) {
      Written gone = files.remove(random.nextInt(files.size()));
      table.newDelete().deleteFile(gone.file).commit();
      steps.add("delete a file of " + gone.rows.size());
    } else {
      table.rewriteManifests().clusterBy(file -> "").commit();
      steps.add("rewrite manifests");
    }
  }

  private void changeSchema() {
    UpdateSchema update = table.updateSchema();
    List<Types.NestedField> columns = table.schema().columns();
    Types.NestedField field = columns.get(random.nextInt(columns.size()));
    String step = "rename " + field.name();
    switch (random.nextInt(5)) {
      case 0 -> {
        Type type = type(2);
        update.addColumn("n" + names, type);
        step = "add n" + names++ + " " + type;
      }
      case 1 -> {
        if (pinned.contains(field.fieldId()) || columns.size() < 3 || field.name().equals("k")) {
          return;
        }
        update.deleteColumn(field.name());
        step = "drop " + field.name();
      }
      case 2 -> {
        Type.PrimitiveType wider = wider(field.type());
        if (wider == null) {
          return;
        }
        update.updateColumn(field.name(), wider);
        step = "promote " + field.name() + " to " + wider;
      }
      case 3 -> {
        update.moveFirst(field.name());
        step = "move " + field.name();
      }
      default -> {
        if (field.name().equals("k")) {
          return;
        }
        update.renameColumn(field.name(), "r" + names++);
      }
    }
    update.commit();
    steps.add(step);
    files.replaceAll(this::now);
    for (Types.NestedField now : table.schema().columns()) {
      pools.merge(now.fieldId(), pool(now), (old, fresh) -> old.stream().map(value -> widened(value, now.type())).collect(Collectors.toList()));
    }
  }

  private void changeSpec() {
    UpdatePartitionSpec update = table.updateSpec();
    PartitionSpec now = table.spec();
    if (now.isPartitioned() && chance(60)) {
      for (PartitionField field : now.fields()) {
        if (!field.transform().isVoid()) {
          update.removeField(field.name());
        }
      }
      update.commit();
      steps.add("unpartition");
      return;
    }
    List<Types.NestedField> columns = new ArrayList<>(table.schema().columns());
    columns.removeIf(field -> !isKey(field.type()) || now.fields().stream().anyMatch(part -> part.sourceId() == field.fieldId()));
    if (columns.isEmpty()) {
      return;
    }
    Types.NestedField source = columns.get(random.nextInt(columns.size()));
    Term term = transform(source);
    if (term == null) {
      return;
    }
    update.addField("p" + names++, term).commit();
    pinned.add(source.fieldId());
    steps.add("partition by " + term);
  }

  /** A transform that Iceberg itself computes and reads back: no identity of fixed, no hours beyond an int, no decimal with a digit too many. */
  private Term transform(Types.NestedField field) {
    String name = field.name();
    List<Term> known = new ArrayList<>();
    switch (field.type().typeId()) {
      case DATE -> Collections.addAll(known, Expressions.day(name), Expressions.month(name), Expressions.year(name));
      case TIMESTAMP -> Collections.addAll(known, Expressions.day(name), Expressions.month(name), Expressions.year(name));
      case INTEGER, LONG, STRING -> Collections.addAll(known, Expressions.truncate(name, 1 + random.nextInt(20)));
      case FIXED -> {
        return Expressions.bucket(name, 1 + random.nextInt(4));
      }
      default -> {}
    }
    if (field.type().typeId() != Type.TypeID.BOOLEAN) {
      known.add(Expressions.bucket(name, 1 + random.nextInt(4)));
    }
    known.add(Expressions.ref(name));
    return known.get(random.nextInt(known.size()));
  }

  // ------------------------------------------------------------------------------------------------ files

  /** Writes rows, a file a partition. */
  private List<DataFile> writeRows() throws IOException {
    Map<PartitionKey, List<Record>> byPartition = new LinkedHashMap<>();
    PartitionKey key = new PartitionKey(table.spec(), table.schema());
    InternalRecordWrapper wrapper = new InternalRecordWrapper(table.schema().asStruct());
    for (int i = 1 + random.nextInt(chance(20) ? 60 : 12); i > 0; i--) {
      Record row = row();
      key.partition(wrapper.wrap(row));
      byPartition.computeIfAbsent(key.copy(), k -> new ArrayList<>()).add(row);
    }
    List<DataFile> written = new ArrayList<>();
    for (Map.Entry<PartitionKey, List<Record>> entry : byPartition.entrySet()) {
      StructLike partition = table.spec().isUnpartitioned() ? null : entry.getKey();
      FileFormat format = format();
      DataWriter<Record> writer =
          new GenericAppenderFactory(table.schema(), table.spec(), null, null, null)
              .setAll(table.properties())
              .newDataWriter(output(format, partition), format, partition);
      try (writer) {
        entry.getValue().forEach(writer::write);
      }
      DataFile file = writer.toDataFile();
      written.add(file);
      files.add(new Written(file.path().toString(), table.spec(), partition, entry.getValue(), file));
    }
    return written;
  }

  private EncryptedOutputFile output(FileFormat format, StructLike partition) {
    String path = table.location() + "/data/" + names++ + "-" + Math.abs(random.nextInt()) + "." + format.name().toLowerCase();
    return EncryptedFiles.encryptedOutput(table.io().newOutputFile(path), EncryptionKeyMetadata.EMPTY);
  }

  private FileFormat format() {
    int n = random.nextInt(10);
    return n < 6 ? FileFormat.PARQUET : n < 8 ? FileFormat.ORC : FileFormat.AVRO;
  }

  /** Partitions of the current spec that hold files, some of them; the one there is where the table has none. */
  private List<StructLike> somePartitions() {
    if (table.spec().isUnpartitioned()) {
      return Collections.singletonList(null);
    }
    List<StructLike> found = new ArrayList<>();
    for (Written file : files) {
      if (file.spec.specId() == table.spec().specId() && found.stream().noneMatch(p -> same(p, file.partition)) && (found.isEmpty() || chance(60))) {
        found.add(file.partition);
      }
    }
    return found;
  }

  private static boolean same(StructLike a, StructLike b) {
    return Objects.equals(a, b);
  }

  /** A file as of now: the types of its partition's sources may have been promoted since. */
  private Written now(Written file) {
    PartitionSpec spec = table.specs().get(file.spec.specId());
    if (spec.isUnpartitioned()) {
      return file;
    }
    PartitionKey key = new PartitionKey(spec, table.schema());
    for (int i = 0; i < spec.fields().size(); i++) {
      key.set(i, widened(file.partition.get(i, Object.class), spec.partitionType().fields().get(i).type()));
    }
    return new Written(file.path, spec, key, file.rows, file.file);
  }

  // ------------------------------------------------------------------------------------------------ schemas

  private Schema schema() {
    List<Types.NestedField> fields = new ArrayList<>();
    fields.add(Types.NestedField.required(1, "k", Types.IntegerType.get()));
    List<String> free = new ArrayList<>(List.of(NAMES));
    Collections.shuffle(free, random);
    for (int i = 1 + random.nextInt(6); i > 0; i--) {
      Type type = type(2);
      fields.add(Types.NestedField.of(ids++, chance(75), free.remove(0), type, null));
    }
    return new Schema(fields);
  }

  private int ids = 100;

  private Type type(int depth) {
    int n = random.nextInt(depth > 0 ? 20 : 16);
    switch (n) {
      case 0:
        return Types.BooleanType.get();
      case 1:
        return Types.IntegerType.get();
      case 2:
        return Types.LongType.get();
      case 3:
        return Types.FloatType.get();
      case 4:
        return Types.DoubleType.get();
      case 5:
        return Types.DateType.get();
      case 6:
        return Types.TimeType.get();
      case 7, 8:
        return Types.TimestampType.withoutZone();
      case 9:
        return Types.TimestampType.withZone();
      case 10, 11:
        return Types.StringType.get();
      case 12: // Iceberg 1.4 writes UUIDs to Parquet only as bytes, to Avro only as UUIDs
        return IcebergBuild.version().startsWith("1.4.") ? Types.BinaryType.get() : Types.UUIDType.get();
      case 13:
        return Types.FixedType.ofLength(1 + random.nextInt(20));
      case 14:
        return Types.BinaryType.get();
      case 15:
        int precision = 1 + random.nextInt(38);
        return Types.DecimalType.of(precision, random.nextInt(precision + 1));
      case 16:
        return Types.ListType.ofOptional(ids++, type(depth - 1));
      case 17:
        Type value = type(depth - 1);
        return Types.MapType.ofOptional(ids++, ids++, mapKey(), value);
      default:
        List<Types.NestedField> fields = new ArrayList<>();
        for (int i = 1 + random.nextInt(3); i > 0; i--) {
          Type inner = type(depth - 1);
          fields.add(Types.NestedField.of(ids++, chance(70), "f" + i, inner, null));
        }
        return Types.StructType.of(fields);
    }
  }

  private Type mapKey() {
    Type[] known = {Types.StringType.get(), Types.IntegerType.get(), Types.LongType.get(), Types.DateType.get(), Types.DecimalType.of(9, 2)};
    return known[random.nextInt(known.length)];
  }

  private static boolean isKey(Type type) {
    return type.isPrimitiveType() && type.typeId() != Type.TypeID.FLOAT && type.typeId() != Type.TypeID.DOUBLE;
  }

  private static Type.PrimitiveType wider(Type type) {
    switch (type.typeId()) {
      case INTEGER:
        return Types.LongType.get();
      case FLOAT:
        return Types.DoubleType.get();
      case DECIMAL:
        Types.DecimalType decimal = (Types.DecimalType) type;
        return decimal.precision() < 38 ? Types.DecimalType.of(Math.min(38, decimal.precision() + 9), decimal.scale()) : null;
      default:
        return null;
    }
  }

  private static Object widened(Object value, Type type) {
    if (value instanceof Integer && type.typeId() == Type.TypeID.LONG) {
      return ((Integer) value).longValue();
    }
    return value instanceof Float && type.typeId() == Type.TypeID.DOUBLE ? (Object) ((Float) value).doubleValue() : value;
  }

  private Map<String, String> properties(Schema schema) {
    Map<String, String> properties = new LinkedHashMap<>();
    properties.put("format-version", "2");
    String[] modes = {"none", "counts", "truncate(1)", "truncate(16)", "full"};
    if (chance(60)) {
      properties.put("write.metadata.metrics.default", modes[random.nextInt(modes.length)]);
    }
    if (chance(30)) {
      properties.put("write.metadata.metrics.column.k", modes[random.nextInt(modes.length)]);
    }
    if (chance(60)) { // a row group after each few rows
      properties.put("write.parquet.row-group-size-bytes", Integer.toString(1 + random.nextInt(200)));
      properties.put("write.parquet.row-group-check-min-record-count", Integer.toString(1 + random.nextInt(3)));
      properties.put("write.parquet.row-group-check-max-record-count", "3");
    }
    if (chance(30)) {
      properties.put("write.parquet.page-size-bytes", "100");
      properties.put("write.parquet.page-row-limit", "2");
    }
    if (chance(30)) {
      properties.put("write.parquet.dict-size-bytes", "100");
    }
    if (chance(20)) {
      properties.put("write.parquet.bloom-filter-enabled.column.k", "true");
    }
    String[] codecs = {"zstd", "gzip", "snappy", "uncompressed"};
    properties.put("write.parquet.compression-codec", codecs[random.nextInt(codecs.length)]);
    properties.put("write.avro.compression-codec", codecs[random.nextInt(codecs.length)]);
    properties.put("write.orc.compression-codec", new String[] {"zlib", "zstd", "snappy", "none", "lz4"}[random.nextInt(5)]);
    return properties;
  }

  // ------------------------------------------------------------------------------------------------ values

  private boolean chance(int percent) {
    return random.nextInt(100) < percent;
  }

  private Record row() {
    Record row = GenericRecord.create(table.schema());
    for (Types.NestedField field : table.schema().columns()) {
      List<Object> pool = pools.get(field.fieldId());
      row.setField(field.name(), pool.get(random.nextInt(pool.size())));
    }
    return row;
  }

  /** The few values that a column takes, so that deletes meet rows. */
  private List<Object> pool(Types.NestedField field) {
    List<Object> values = new ArrayList<>();
    for (int i = 2 + random.nextInt(6); i > 0; i--) {
      values.add(value(field.type()));
    }
    if (field.isOptional()) {
      values.add(null);
    }
    return values;
  }

  private Object optional(boolean isOptional, Type type) {
    return isOptional && chance(20) ? null : value(type);
  }

  private Object value(Type type) {
    switch (type.typeId()) {
      case BOOLEAN:
        return random.nextBoolean();
      case INTEGER:
        return chance(15) ? pick(Integer.MIN_VALUE, Integer.MAX_VALUE, 0, -1) : random.nextInt(2001) - 1000;
      case LONG:
        return chance(15) ? pick(Long.MIN_VALUE, Long.MAX_VALUE, 0L, -1L, 1L << 53) : random.nextLong() >> random.nextInt(64);
      case FLOAT:
        return chance(40)
            ? pick(Float.NaN, -0.0f, 0.0f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE, -Float.MAX_VALUE, 1.1f)
            : random.nextFloat() * 1000 - 500;
      case DOUBLE:
        return chance(40)
            ? pick(Double.NaN, -0.0, 0.0, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_VALUE, -Double.MAX_VALUE, 1.1)
            : random.nextDouble() * 1000 - 500;
      case DATE:
        return LocalDate.ofEpochDay(chance(20) ? pick(0L, -1L, -719162L, 2932896L, 3663634L, -141428L, 2_932_897L) : random.nextInt(60_000) - 30_000);
      case TIME:
        return LocalTime.ofNanoOfDay(1000 * (chance(20) ? pick(0L, 86_399_999_999L) : random.nextInt(86_400) * 1_000_000L + random.nextInt(1_000_000)));
      case TIMESTAMP:
        LocalDateTime moment = EPOCH.plus(micros(), ChronoUnit.MICROS);
        return ((Types.TimestampType) type).shouldAdjustToUTC() ? (Object) OffsetDateTime.of(moment, ZoneOffset.UTC) : moment;
      case STRING:
        return chance(50) ? TEXTS[random.nextInt(TEXTS.length)] : Integer.toString(random.nextInt(1000));
      case UUID:
        return new UUID(random.nextLong(), random.nextLong());
      case FIXED:
        return bytes(((Types.FixedType) type).length());
      case BINARY:
        return ByteBuffer.wrap(chance(20) ? TEXTS[random.nextInt(TEXTS.length)].getBytes(StandardCharsets.UTF_8) : bytes(random.nextInt(24)));
      case DECIMAL:
        Types.DecimalType decimal = (Types.DecimalType) type;
        BigInteger limit = BigInteger.TEN.pow(decimal.precision());
        BigInteger unscaled =
            chance(20) ? limit.subtract(BigInteger.ONE) : new BigInteger(random.nextInt(limit.bitLength()) + 1, random).mod(limit);
        return new BigDecimal(random.nextBoolean() ? unscaled : unscaled.negate(), decimal.scale());
      case LIST:
        Types.ListType list = type.asListType();
        List<Object> items = new ArrayList<>();
        for (int i = random.nextInt(4); i > 0; i--) {
          items.add(optional(list.isElementOptional(), list.elementType()));
        }
        return items;
      case MAP:
        Types.MapType map = type.asMapType();
        Map<Object, Object> entries = new LinkedHashMap<>();
        for (int i = random.nextInt(4); i > 0; i--) {
          entries.put(value(map.keyType()), optional(map.isValueOptional(), map.valueType()));
        }
        return entries;
      default:
        Types.StructType struct = type.asStructType();
        Record record = GenericRecord.create(struct);
        for (Types.NestedField field : struct.fields()) {
          record.setField(field.name(), optional(field.isOptional(), field.type()));
        }
        return record;
    }
  }

  private long micros() {
    int kind = random.nextInt(10);
    if (kind == 0) { // 0001-01-01, 9999-12-31T23:59:59.999999, 12000-01-01, 1582-10-04, one microsecond before the epoch
      return pick(-62_135_596_800_000_000L, 253_402_300_799_999_999L, 316_516_204_800_000_000L, -12_219_379_200_000_000L, -1L, 0L);
    }
    long near = (random.nextInt(4_000_000) - 2_000_000) * 1_000_000_000L;
    return kind < 4 ? near + random.nextInt(1_000_000) : near;
  }

  private byte[] bytes(int length) {
    byte[] made = new byte[length];
    random.nextBytes(made);
    if (chance(10)) {
      java.util.Arrays.fill(made, (byte) 0xff);
    }
    return made;
  }

  @SafeVarargs
  private final <T> T pick(T... values) {
    return values[random.nextInt(values.length)];
  }
}
