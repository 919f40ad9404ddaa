// Reads and writes pictures: by OpenCV, by stb, or, without either, binary PPM and PGM.
#pragma once

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(WITH_OPENCV)
#include <opencv2/imgcodecs.hpp>
#elif defined(WITH_STB)
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>
#endif

struct Image {
  size_t height = 0, width = 0, channels = 3;
  std::vector<uint8_t> data;  // rows of pixels, RGB or gray
};

#if defined(WITH_OPENCV)
const std::string kMask = "_mask.png", kOverlay = "_overlay.png";
inline Image read_image(const std::string& path) {
  cv::Mat bgr = cv::imread(path, cv::IMREAD_COLOR);
  if (bgr.empty()) throw std::runtime_error("image " + path + " cannot be read");
  Image image{size_t(bgr.rows), size_t(bgr.cols), 3, {bgr.datastart, bgr.dataend}};
  for (size_t i = 0; i < image.data.size(); i += 3) std::swap(image.data[i], image.data[i + 2]);
  return image;
}
inline bool encode(const std::string& path, Image image) {
  if (image.channels == 3)
    for (size_t i = 0; i < image.data.size(); i += 3) std::swap(image.data[i], image.data[i + 2]);
  return cv::imwrite(path, cv::Mat(int(image.height), int(image.width), CV_8UC(int(image.channels)),
                                   image.data.data()));
}
#elif defined(WITH_STB)
const std::string kMask = "_mask.png", kOverlay = "_overlay.png";
inline Image read_image(const std::string& path) {
  int width, height, channels;
  uint8_t* data = stbi_load(path.c_str(), &width, &height, &channels, 3);
  if (!data)
    throw std::runtime_error("image " + path + " cannot be read: " + stbi_failure_reason());
  Image image{size_t(height), size_t(width), 3, {data, data + size_t(height) * width * 3}};
  stbi_image_free(data);
  return image;
}
inline bool encode(const std::string& path, const Image& image) {
  return stbi_write_png(path.c_str(), int(image.width), int(image.height), int(image.channels),
                        image.data.data(), 0);
}
#else
const std::string kMask = "_mask.pgm", kOverlay = "_overlay.ppm";
inline Image read_image(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  Image image;
  size_t largest = 0;
  file >> magic >> image.width >> image.height >> largest;
  file.get();
  if (file && magic == "P6" && largest == 255 && image.width < 65536 && image.height < 65536) {
    image.data.resize(image.height * image.width * 3);
    file.read(reinterpret_cast<char*>(image.data.data()), std::streamsize(image.data.size()));
  }
  if (!file || image.data.empty())
    throw std::runtime_error("image " + path + " is not a complete binary PPM (P6, 255): this " +
                             "program was built without OpenCV and stb");
  return image;
}
inline bool encode(const std::string& path, const Image& image) {
  std::ofstream file(path, std::ios::binary);
  file << (image.channels == 3 ? "P6 " : "P5 ") << image.width << ' ' << image.height << " 255\n";
  file.write(reinterpret_cast<const char*>(image.data.data()), std::streamsize(image.data.size()));
  return bool(file.flush());
}
#endif

// The file appears whole or not at all.
inline void write_image(const std::string& prefix, const std::string& suffix, const Image& image) {
  const std::string path = prefix + suffix, temporary = prefix + "_tmp" + suffix;
  if (!encode(temporary, image) || std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::remove(temporary.c_str());
    throw std::runtime_error(path + " cannot be written");
  }
}
