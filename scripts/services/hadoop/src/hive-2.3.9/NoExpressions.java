import java.util.List;
import org.apache.hadoop.hive.metastore.FileFormatProxy;
import org.apache.hadoop.hive.metastore.PartitionExpressionProxy;
import org.apache.hadoop.hive.metastore.api.FileMetadataExprType;
import org.apache.hadoop.hive.ql.io.sarg.SearchArgument;
import org.apache.hadoop.hive.serde2.typeinfo.PrimitiveTypeInfo;

/** Stands for the part of Hive's query engine that selects partitions, of which Iceberg tables have none. */
public final class NoExpressions implements PartitionExpressionProxy {
  @Override
  public String convertExprToFilter(byte[] expression) {
    throw new UnsupportedOperationException();
  }

  @Override
  public boolean filterPartitionsByExpr(
      List<String> columns, List<PrimitiveTypeInfo> types, byte[] expression, String name, List<String> partitions) {
    throw new UnsupportedOperationException();
  }

  @Override
  public FileMetadataExprType getMetadataType(String inputFormat) {
    throw new UnsupportedOperationException();
  }

  @Override
  public FileFormatProxy getFileFormatProxy(FileMetadataExprType type) {
    throw new UnsupportedOperationException();
  }

  @Override
  public SearchArgument createSarg(byte[] expression) {
    throw new UnsupportedOperationException();
  }
}
