//! serde's view of the reader: from tokens to the types of a configuration.
//!
//! Promises: each type asks for its own kind of value, so that code for the others (numbers with fractions above
//! all) is only linked where it is asked for. Leaves out: `i128`, `u128`, bytes.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::error::Error;
use super::reader::Reader;

impl<'t> Reader<'t> {
    /// The error for a value of a wrong kind.
    fn mismatch(&mut self, expected: &dyn Expected) -> Error {
        let string;
        let unexpected = match self.peek() {
            b'{' => Unexpected::Map,
            b'[' => Unexpected::Seq,
            b't' => Unexpected::Bool(true),
            b'f' => Unexpected::Bool(false),
            b'n' => Unexpected::Other("nothing"),
            b'"' => match self.string() {
                Ok(text) => {
                    string = text;
                    Unexpected::Str(&string)
                }
                Err(error) => return error,
            },
            _ => match self.number() {
                "" => return self.malformed(),
                text => Unexpected::Other(text),
            },
        };
        Error::invalid_type(unexpected, expected)
    }

    fn integer_value(&mut self, expected: &dyn Expected) -> Result<Integer, Error> {
        let text = self.digits(expected)?;
        if let Ok(value) = text.parse() {
            Ok(Integer::Unsigned(value))
        } else if let Ok(value) = text.parse() {
            Ok(Integer::Signed(value))
        } else {
            Err(Error::invalid_type(Unexpected::Other(text), expected))
        }
    }

    /// The text of a number that must be next.
    fn digits(&mut self, expected: &dyn Expected) -> Result<&'t str, Error> {
        if matches!(self.peek(), b'-' | b'0'..=b'9') {
            Ok(self.number())
        } else {
            Err(self.mismatch(expected))
        }
    }

    fn bool_value(&mut self, expected: &dyn Expected) -> Result<bool, Error> {
        let value = self.take_word("true");
        if value || self.take_word("false") {
            Ok(value)
        } else {
            Err(self.mismatch(expected))
        }
    }

    fn string_value(&mut self, expected: &dyn Expected) -> Result<String, Error> {
        if self.peek() == b'"' {
            self.string()
        } else {
            Err(self.mismatch(expected))
        }
    }

    /// Step into a list or a table, which must be next.
    fn enter(&mut self, bracket: u8, expected: &dyn Expected) -> Result<(), Error> {
        if self.take(bracket) {
            Ok(())
        } else {
            Err(self.mismatch(expected))
        }
    }

    fn integer<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.integer_value(&visitor)? {
            Integer::Unsigned(value) => visitor.visit_u64(value),
            Integer::Signed(value) => visitor.visit_i64(value),
        }
    }

    fn float<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let value = self.digits(&visitor)?.parse();
        visitor.visit_f64(value.map_err(|_| self.malformed())?)
    }

    fn text<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let value = self.string_value(&visitor)?;
        visitor.visit_string(value)
    }

    fn list<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.enter(b'[', &visitor)?;
        let mut list = List {
            reader: self,
            index: 0,
            is_over: false,
        };
        let value = visitor.visit_seq(&mut list)?;
        list.end()?;
        Ok(value)
    }

    fn table<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        self.enter(b'{', &visitor)?;
        visitor.visit_map(Table {
            reader: self,
            key: None,
        })
    }
}

/// A whole number as serde takes it.
enum Integer {
    Unsigned(u64),
    Signed(i64),
}

macro_rules! forward {
    ($($method:ident => $kind:ident),+ $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$kind(visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    forward! {
        deserialize_i8 => integer, deserialize_i16 => integer, deserialize_i32 => integer, deserialize_i64 => integer,
        deserialize_u8 => integer, deserialize_u16 => integer, deserialize_u32 => integer, deserialize_u64 => integer,
        deserialize_f32 => float, deserialize_f64 => float,
        deserialize_char => text, deserialize_str => text, deserialize_string => text, deserialize_identifier => text,
        deserialize_seq => list, deserialize_map => table,
        deserialize_bytes => deserialize_any, deserialize_byte_buf => deserialize_any,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            b'{' => self.table(visitor),
            b'[' => self.list(visitor),
            b'"' => self.text(visitor),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'n' => self.deserialize_unit(visitor),
            _ if self.is_fraction() => self.float(visitor),
            _ => self.integer(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.bool_value(&visitor)?;
        visitor.visit_bool(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.take_word("null") {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.take_word("null") {
            visitor.visit_unit()
        } else {
            Err(self.mismatch(&visitor))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.table(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek() {
            b'"' => visitor.visit_enum(StrDeserializer::<Error>::new(&self.string()?)),
            b'{' => {
                self.expect(b'{')?;
                let value = visitor.visit_enum(Variant { reader: self })?;
                self.expect(b'}')?;
                Ok(value)
            }
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }
}

struct List<'r, 't> {
    reader: &'r mut Reader<'t>,
    index: usize,
    is_over: bool,
}

impl List<'_, '_> {
    /// Whether another element follows; steps over the comma or the end.
    fn more(&mut self) -> Result<bool, Error> {
        self.is_over = self.is_over || self.reader.take(b']');
        if !self.is_over && self.index > 0 {
            self.reader.expect(b',')?;
        }
        Ok(!self.is_over)
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.more()? {
            Err(Error::new(&["the list is too long"]))
        } else {
            Ok(())
        }
    }
}

impl<'de> SeqAccess<'de> for &mut List<'_, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if !self.more()? {
            return Ok(None);
        }
        let index = self.index;
        self.index += 1;
        seed.deserialize(&mut *self.reader)
            .map(Some)
            .map_err(|error| error.under_index(index))
    }
}

struct Table<'r, 't> {
    reader: &'r mut Reader<'t>,
    key: Option<String>,
}

impl<'de> MapAccess<'de> for Table<'_, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(key) = self.reader.key(self.key.is_none())? else {
            return Ok(None);
        };
        let value = seed
            .deserialize(StrDeserializer::<Error>::new(&key))
            .map_err(|error| error.under_key(&key))?;
        self.key = Some(key);
        Ok(Some(value))
    }

    /// Never inlined: a table has many values of the same type.
    #[inline(never)]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = seed.deserialize(&mut *self.reader);
        value.map_err(|error| error.under_key(self.key.as_deref().unwrap_or_default()))
    }
}

/// An enum as a table with one key: the variant.
struct Variant<'r, 't> {
    reader: &'r mut Reader<'t>,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = self.reader.string()?;
        self.reader.expect(b':')?;
        let variant = seed
            .deserialize(StrDeserializer::<Error>::new(&name))
            .map_err(|error| error.under_key(&name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.reader.skip()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.reader.list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.reader.table(visitor)
    }
}
